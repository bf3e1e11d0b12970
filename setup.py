from setuptools import setup
from setuptools.command.editable_wheel import editable_wheel


class Editable(editable_wheel):
    """An editable install puts this folder on sys.path.

    Otherwise setuptools installs a finder, because the tables lie beside the package (ssdzoo.zoo finds them there). Python asks
    it last, so that in the folder above a clone named ssdzoo, `import ssdzoo` would find the clone as a namespace package.
    """

    def finalize_options(self):
        self.distribution.packages.remove("ssdzoo.presets")
        self.distribution.package_dir = {"": "."}
        super().finalize_options()


setup(cmdclass={"editable_wheel": Editable})

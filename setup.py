from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
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


class BuildWithStartup(build_py):
    """Installs `startup/` beside the packages, where Python looks for `.pth` files when it starts."""

    files = ["startup/ssdzoo_imports.pth", "startup/ssdzoo_imports.py"]

    def run(self):
        super().run()
        folder = self.get_finalized_command("install").install_purelib if self.editable_mode else self.build_lib
        for file in self.files:
            self.copy_file(file, str(Path(folder, Path(file).name)), preserve_mode=False)

    def get_source_files(self):
        return [*super().get_source_files(), *self.files]

    def get_outputs(self, include_bytecode=True):
        return [*super().get_outputs(include_bytecode), *(str(Path(self.build_lib, Path(file).name)) for file in self.files)]


setup(cmdclass={"editable_wheel": Editable, "build_py": BuildWithStartup})

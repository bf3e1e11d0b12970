"""Lets `import mxnet` and `import gluoncv` work before `import ssdzoo`.

Installed beside the packages with a `.pth` file, by which Python imports this when it starts. So nothing else is imported here,
and nothing is changed until the code of mxnet or gluoncv runs: then ssdzoo is imported first, which gives them what they need.
"""

import sys


class _SSDZooFirst:
    """Finds mxnet and gluoncv where Python would, and imports ssdzoo before their code runs."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "mxnet" and name != "gluoncv":
            return None
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def prepare_and_execute(module):
                try:
                    import ssdzoo  # noqa: F401
                except Exception:  # of a damaged installation: then mxnet says what it lacks
                    pass
                execute(module)

            spec.loader.exec_module = prepare_and_execute
        return spec


sys.meta_path.insert(0, _SSDZooFirst)

"""The trainer can be imported without the generator's libraries."""

import subprocess
import sys

BLOCKED = (
    "datagen", "ray", "cv2", "OpenGL", "pyrender", "skimage", "h5py", "smplx", "scipy",
    "matplotlib", "PIL", "torchvision",
)  # fmt: skip


def test_the_commands_import_without_the_generators_libraries():
    program = f"""
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED!r}:
            raise ImportError(f"{{name}} is blocked by the test")

sys.meta_path.insert(0, Block())
import trainer.fit, trainer.evaluate, trainer.predict, trainer.tables
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr

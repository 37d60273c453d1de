"""Reads SMPL's official .pkl without executing any of its code.

A pickle is a program. The official model files refer to six kinds of names: numpy arrays,
scipy.sparse matrices, chumpy's arrays (a library that can no longer be imported) and a few
built-ins. Each is replaced by an inert stand-in that only stores its arguments; any other name
stops the reading. The stand-ins are converted to arrays afterwards, with all sizes checked.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from datagen.common.errors import BadInput
from datagen.common.sizes import checked_count

DTYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
"""Array element types that a body model may have, without their byte order."""
MOST = 1 << 25
"""Most numbers in a file's arrays; SMPL's, with 300 shape components, has 11 million."""
SPARSE = ("csc_matrix", "csr_matrix", "coo_matrix", "csc_array", "csr_array", "coo_array")


class _Inert:
    """Stores its arguments and its state; does nothing."""

    args: tuple = ()  # a pickle may make objects without calling __init__
    state: Any = None

    def __init__(self, *args: Any) -> None:
        self.args = args

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _stand_ins() -> dict[tuple[str, str], Any]:
    """Return the stand-ins for the names that a model file may use.

    Each call defines new classes, because a pickle can set attributes of the classes it names, and
    such changes must not survive its own reading. This makes the function longer than others.
    """

    class Dtype(_Inert):
        """numpy.dtype"""

    class Array(_Inert):
        """numpy.ndarray"""

    class Buffer(_Inert):
        """numpy.ndarray in pickle protocol 5"""

    class Scalar(_Inert):
        """A numpy scalar"""

    class Sparse(_Inert):
        """A scipy.sparse matrix"""

    class Chumpy(_Inert):
        """chumpy.Ch and its subclasses"""

    class Plain(_Inert):
        """object, set, OrderedDict: bookkeeping of chumpy, never read"""

        def __setitem__(self, key: Any, value: Any) -> None:
            """Ignore it."""

    def encode(text: str, coding: str) -> bytes:
        if coding not in ("latin1", "latin-1"):
            raise pickle.UnpicklingError(f"text coding {coding!r}")
        return text.encode("latin1")

    def new(kind: Any, *_: Any) -> _Inert:
        if not (isinstance(kind, type) and issubclass(kind, _Inert)):
            raise pickle.UnpicklingError("it builds an object of an unknown kind")
        return kind()

    names: dict[tuple[str, str], Any] = {
        ("_codecs", "encode"): encode,
        ("collections", "OrderedDict"): Plain,
        ("numpy", "dtype"): Dtype,
        ("numpy", "ndarray"): Array,
    }
    for module in ("copy_reg", "copyreg"):
        names[module, "_reconstructor"] = new
        names[module, "__newobj__"] = new
    for module in ("__builtin__", "builtins"):
        names[module, "object"] = Plain
        names[module, "set"] = Plain
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        names[module, "_reconstruct"] = new
        names[module, "scalar"] = Scalar
    for module in ("numpy.core.numeric", "numpy._core.numeric"):
        names[module, "_frombuffer"] = Buffer
    for kind in SPARSE:
        form = kind.split("_")[0]
        for module in (f"scipy.sparse.{form}", f"scipy.sparse._{form}"):
            names[module, kind] = Sparse
    for module, kind in (("ch", "Ch"), ("reordering", "Select"), ("ch", "Ch.Select")):
        names[f"chumpy.{module}", kind] = Chumpy
    return names


# The Python unpickler, not the C one: its memo is a dict, so a damaged index cannot allocate all
# memory. A model file has only a few hundred opcodes, so speed does not matter.
class _Reader(pickle._Unpickler):  # type: ignore[name-defined]
    read: Callable[[int], bytes]  # the base class sets both while loading
    append: Callable[[Any], None]

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1", errors="strict")
        self.names = _stand_ins()
        self.size = len(data)

    def load_bytearray8(self) -> None:
        """Push a bytearray; the standard library's version allocates any claimed size."""
        length = int.from_bytes(self.read(8), "little")
        self.append(bytearray(self.read(checked_count("a bytearray", (length,), self.size))))

    dispatch: ClassVar = {
        **pickle._Unpickler.dispatch,  # type: ignore[attr-defined]
        pickle.BYTEARRAY8[0]: load_bytearray8,  # type: ignore[dict-item]
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.names[module, name]
        except (KeyError, TypeError):
            raise pickle.UnpicklingError(
                f"it refers to {module}.{name}, which a file of numbers does not need"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to objects outside the file")


def read_pickle(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of a pickled dict (SMPL's .pkl) without executing its code.

    Entries that are not numeric arrays are skipped; sparse matrices are returned as dense ones.

    Raises:
        BadInput: the file is damaged, is not a dict or refers to anything but numpy arrays,
            scipy.sparse matrices and chumpy arrays.
    """
    record = _load(path, "a body model")
    arrays, budget = {}, _Budget()
    for name, value in record.items():
        if not isinstance(name, str) or not isinstance(value, _Inert):
            continue
        try:
            arrays[name] = _array(value, 0, budget)
        except _NotNumbers:
            continue
        except (
            ValueError,
            LookupError,
            TypeError,
            ArithmeticError,
            AttributeError,
            MemoryError,
        ) as error:
            raise BadInput(f"{path} has a damaged array '{name}' ({_brief(error)}).") from error
    return arrays


def read_lists(path: Path, names: tuple[str, ...], what: str) -> dict[str, Any]:
    """Read the named entries of a pickled dict without executing its code.

    Entries are numeric arrays, or lists of arrays, numbers and text (a 3DPW sequence). Missing
    entries are omitted from the result.

    Raises:
        BadInput: the file is damaged, is not a dict, or an entry is anything else; the message says
            that it should be `what`.
    """
    record = _load(path, what)
    found: dict[str, Any] = {}
    budget = _Budget()
    for name in names:
        if name not in record:
            continue
        try:
            found[name] = _plain(record[name], 0, budget)
        except _NotNumbers:
            raise BadInput(f"{path}: '{name}' is not a list of arrays; it is not {what}.") from None
        except (ValueError, LookupError, TypeError, ArithmeticError, MemoryError) as error:
            raise BadInput(f"{path} has a damaged entry '{name}' ({_brief(error)}).") from error
    return found


def read_objects(data: bytes, path: Path, what: str) -> list[Any]:
    """Return the elements of an .npy file of objects without executing code in its pickle.

    Elements are numeric arrays, numbers, text, or lists of them.

    Args:
        data: content of the .npy file.
        path: the file's name in error messages.
        what: the expected content, for error messages.

    Raises:
        BadInput: it is damaged, or an element is anything else.
    """
    try:
        stream = io.BytesIO(data)
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_2_0
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else header
        if not header(stream)[2].hasobject:
            raise ValueError("its elements are not objects")
        array = _Reader(data[stream.tell() :]).load()
        *_, items = array.state
        if not isinstance(items, list):
            raise ValueError("it is not a list")
        # A pickle stores equal objects once; expanding each only once keeps a small file small.
        budget = _Budget()
        plain = {id(item): _plain(item, 0, budget) for item in items}
        return [plain[id(item)] for item in items]
    except _NotNumbers:
        raise BadInput(f"{path} holds something other than {what}.") from None
    except Exception as error:  # a damaged pickle may raise anything
        raise BadInput(f"{path} was rejected as {what} ({_brief(error)}).") from error


def _load(path: Path, what: str) -> dict[Any, Any]:
    """Return the pickled dict, its objects as stand-ins."""
    try:
        record = _Reader(path.read_bytes()).load()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # a damaged pickle may raise anything
        raise BadInput(
            f"{path} was rejected as {what} ({_brief(error)}); "
            "download it again from its official page."
        ) from error
    if not isinstance(record, dict):
        raise BadInput(f"{path} holds a {type(record).__name__}, not the dictionary of {what}.")
    return record


class _Budget:
    """Limit of the numbers in one file's objects: a pickle stores equal objects once, so a small
    file can contain an array a million times."""

    def __init__(self) -> None:
        self.left = MOST
        self.arrays: dict[int, np.ndarray] = {}
        """Arrays made so far, by the id of their stand-in."""

    def spend(self, shape: Iterable[int]) -> None:
        self.left -= checked_count("its content", shape, self.left)


def _plain(value: Any, depth: int, budget: _Budget) -> Any:
    """Return an array, a number, a text, or a list of them."""
    budget.spend(())
    if isinstance(value, _Inert):
        if id(value) in budget.arrays:
            budget.spend(budget.arrays[id(value)].shape)
        else:
            budget.arrays[id(value)] = _array(value, 0, budget)
        return budget.arrays[id(value)]
    if isinstance(value, list | tuple) and depth < 3:
        return [_plain(item, depth + 1, budget) for item in value]
    if isinstance(value, str | int | float):
        return value
    raise _NotNumbers


class _NotNumbers(Exception):
    """The value is not an array of numbers (bookkeeping, an object array)."""


def _brief(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:160]


def _bytes(raw: Any) -> bytes:
    if isinstance(raw, str):  # a Python 2 str, read as latin1
        return raw.encode("latin1")
    if isinstance(raw, bytes | bytearray):
        return bytes(raw)
    raise _NotNumbers


def _dtype(value: Any) -> np.dtype:
    if not isinstance(value, _Inert) or not value.args:
        raise _NotNumbers
    name = value.args[0]
    if isinstance(name, bytes):
        name = name.decode("latin1")
    if name not in DTYPES:
        raise _NotNumbers
    order = value.state[1] if isinstance(value.state, tuple) and len(value.state) > 1 else "|"
    order = order.decode("latin1") if isinstance(order, bytes) else order
    return np.dtype(name).newbyteorder(">" if order == ">" else "<")


def _shape(value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple | list) or len(value) > 4:
        raise ValueError("its shape is damaged")
    if not all(isinstance(n, int) and 0 <= n < 2**31 for n in value):
        raise ValueError("its shape is damaged")
    return tuple(value)


def _array(value: Any, depth: int, budget: _Budget) -> np.ndarray:
    """Convert a stand-in to its array."""
    kind = type(value).__name__
    if depth > 4 or not isinstance(value, _Inert):
        raise _NotNumbers
    if kind == "Array":
        return _plain_array(value.state, budget)
    if kind == "Buffer":
        raw, dtype, shape, order, *_ = value.args
        return _plain_array((shape, dtype, order == "F", raw), budget)
    if kind == "Chumpy" and isinstance(value.state, dict):
        if "x" in value.state:
            return _array(value.state["x"], depth + 1, budget)
        if "a" in value.state and "idxs" in value.state:  # chumpy.reordering.Select
            picked = _array(value.state["a"], depth + 1, budget).ravel()
            picked = picked[_array(value.state["idxs"], depth + 1, budget).ravel()]
            shape = value.state.get("preferred_shape")
            return picked if shape is None else picked.reshape(_shape(shape))
    if kind == "Sparse" and isinstance(value.state, dict):
        return _sparse_array(value.state, depth, budget)
    raise _NotNumbers


def _plain_array(state: Any, budget: _Budget) -> np.ndarray:
    """Build an array from numpy's pickled state (version, shape, dtype, fortran, bytes)."""
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        raise ValueError("its header is damaged")
    shape, dtype, fortran, raw = state[-4:]
    shape, dtype, raw = _shape(shape), _dtype(dtype), _bytes(raw)
    flat = np.frombuffer(raw, dtype)
    if flat.size != np.prod(shape, dtype=float):
        raise ValueError(f"{flat.size} numbers for shape {shape}")
    budget.spend(shape)
    array = flat.reshape(shape, order="F" if fortran else "C")
    return np.array(array, dtype=dtype.newbyteorder("="), order="C")


def _sparse_array(state: dict, depth: int, budget: _Budget) -> np.ndarray:
    """Build the dense array of a pickled scipy.sparse matrix (csc, csr or coo)."""
    from scipy import sparse

    shape = _shape(state.get("_shape", state.get("shape")))
    if len(shape) != 2 or shape[0] * shape[1] > 10**7:
        raise ValueError(f"shape {shape} is not a joint regressor's")
    budget.spend(shape)
    data = _array(state["data"], depth + 1, budget)
    if "indptr" in state:
        indices = _array(state["indices"], depth + 1, budget)
        pointers = _array(state["indptr"], depth + 1, budget)
        kind = sparse.csc_matrix if len(pointers) == shape[1] + 1 else sparse.csr_matrix
        matrix = kind((data, indices, pointers), shape=shape)
        matrix.check_format(full_check=True)
    else:
        if "coords" in state:
            row, col = (_array(axis, depth + 1, budget) for axis in state["coords"])
        else:
            row, col = (
                _array(state["row"], depth + 1, budget),
                _array(state["col"], depth + 1, budget),
            )
        matrix = sparse.coo_matrix((data, (row, col)), shape=shape)
    return matrix.toarray()

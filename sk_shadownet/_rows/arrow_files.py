"""Parquet, Arrow and CSV files, the only place that imports pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sk_shadownet._rows.files import UNKNOWN
from sk_shadownet._typing import AnyArray
from sk_shadownet.exceptions import InvalidDataError, MissingToolError

#: Formats of pyarrow.dataset by what file names end in.
FORMATS = {".parquet": "parquet", ".pq": "parquet", ".arrow": "ipc", ".feather": "ipc", ".csv": "csv"}
# Bytes of a column that are read at once.
_BUFFER = 2**16
# In text there is no telling one type of number from another.
_NUMBERS_IN_TEXT = "number"


@dataclass(frozen=True)
class ArrowReader:
    """Reads files of one of `FORMATS`."""

    format: str

    def types(self, path: Path) -> Mapping[str, str]:
        """Type of every column, by its name."""
        with _refusals(path):
            schema = self._dataset(path).schema
            return {name: self._type(kind) for name, kind in zip(schema.names, schema.types, strict=True)}

    def read(self, path: Path, names: Sequence[str], n_rows: int) -> Iterator[list[AnyArray]]:
        """Columns in blocks of so many rows."""
        with _refusals(path):
            batches = self._parquet if self.format == "parquet" else self._others
            for batch in batches(path, list(names), n_rows):
                yield [_as_array(batch.column(name)) for name in names]

    def _parquet(self, path: Path, names: list[str], n_rows: int) -> Iterator[Any]:
        # pyarrow.dataset would hold row groups whole, 300 MB of files of a million rows.
        from pyarrow.parquet import ParquetFile

        with ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER) as file:
            yield from file.iter_batches(n_rows, columns=names, use_threads=False)

    def _others(self, path: Path, names: list[str], n_rows: int) -> Iterator[Any]:
        how = {"batch_readahead": 0, "fragment_readahead": 0, "use_threads": False}
        yield from self._dataset(path, names).to_batches(columns=names, batch_size=n_rows, **how)

    def _dataset(self, path: Path, names: Sequence[str] | None = None) -> Any:
        """The file as pyarrow sees it; of text, `names` are read as numbers where the first rows are some."""
        import pyarrow as pa
        import pyarrow.dataset as ds
        from pyarrow.csv import ConvertOptions

        dataset = ds.dataset(path, format=self.format)
        if self.format != "csv" or names is None:
            return dataset
        numbers = {
            name: pa.float64()
            for name in names
            if pa.types.is_integer(dataset.schema.field(name).type)
            or pa.types.is_floating(dataset.schema.field(name).type)
            or pa.types.is_null(dataset.schema.field(name).type)
        }
        options = ConvertOptions(column_types=numbers)
        return ds.dataset(path, format=ds.CsvFileFormat(convert_options=options))

    def _type(self, kind: Any) -> str:
        import pyarrow as pa

        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if pa.types.is_large_string(kind):
            kind = pa.string()
        if self.format == "csv" and pa.types.is_null(kind):
            return UNKNOWN
        if self.format == "csv" and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            return _NUMBERS_IN_TEXT
        return str(kind)


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingToolError(
            f'Parquet, Arrow and CSV files need pyarrow ({error}); pip install "sk-shadownet[files]".'
        ) from error
    return pa


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """Say which file pyarrow cannot read."""
    pa = _pyarrow()
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OSError) as error:
        if isinstance(error, InvalidDataError):
            raise
        raise InvalidDataError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error


def _as_array(column: Any) -> AnyArray:
    """A numpy array; a missing number is NaN, a missing label None."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.null_count and pa.types.is_boolean(column.type):
        column = column.cast(pa.float32())
    values: AnyArray = column.to_numpy(zero_copy_only=False)
    # Without a copy the whole batch would stay as long as one of its columns does.
    return np.array(values)

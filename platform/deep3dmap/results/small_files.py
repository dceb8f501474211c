"""Tables of small files that may be rewritten, such as cards; unchanged files are not read again."""

import time
import warnings
from typing import TYPE_CHECKING

import pyarrow as pa

from deep3dmap.results.parquet_files import decode
from deep3dmap.results.reading_files import DAMAGE, reason_of

if TYPE_CHECKING:
    from deep3dmap.results.storage import Storage

# Two changes within one tick of a filesystem's clock have the same time stamp.
SETTLED_NS = 10**9


class SmallFiles:
    """The files of a folder `tables/NAME`, with the rows of the files that were read."""

    def __init__(self, name: str, schema: pa.Schema) -> None:
        self.name, self.schema, self.folder = name, schema, f"tables/{name}"
        self._known: dict[str, tuple[tuple[int, int], pa.Table]] = {}

    def __reduce__(self) -> tuple[type["SmallFiles"], tuple[str, pa.Schema]]:
        # Rows are not pickled; another process reads the files itself.
        return SmallFiles, (self.name, self.schema)

    def read(self, storage: "Storage") -> pa.Table:
        """Return all rows; damaged files are named in a warning and left out."""
        kept, tables, now = {}, [self.schema.empty_table()], time.time_ns()
        for file, stamp in storage.stamps(self.folder, ".parquet").items():
            known = self._known.get(file)
            try:
                table = known[1] if known and known[0] == stamp else self._read(storage, file)
            except DAMAGE as error:
                where = f"{storage.uri}/{self.folder}/{file}"
                warnings.warn(f"{where} is damaged and left out: {reason_of(error)}", stacklevel=4)
                continue
            tables.append(table)
            if now - stamp[1] > SETTLED_NS:
                kept[file] = (stamp, table)
        self._known = kept
        return pa.concat_tables(tables)

    def _read(self, storage: "Storage", file: str) -> pa.Table:
        return decode(storage.read(f"{self.folder}/{file}")).table.select(self.schema.names).cast(self.schema)

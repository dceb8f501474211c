"""Incremental reading of the files of one table: each file is read only once."""

import threading
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from deep3dmap.core.errors import UserError
from deep3dmap.results.parquet_files import DICTIONARY, attempts_of_segment, is_segment
from deep3dmap.results.reading_files import DAMAGE, Decoded, decode_table, read_files, reason_of
from deep3dmap.results.schema import TABLES, NewerSchemaError, arrow_schema

if TYPE_CHECKING:
    from deep3dmap.results.storage import Storage

TABLES_AT_ONCE = 200
READS = 4  # attempts to read a table while it is being compacted
# Columns with repeated texts, by table.
CODED = {"metrics": DICTIONARY, "curves": ("run_id", "scene", "name")}


class TableFiles:
    """One table of a store. Files are immutable, so each is read only once."""

    def __init__(self, name: str) -> None:
        self.name, self.folder = name, f"tables/{name}"
        # The pages of the dashboard read from several threads.
        self._lock = threading.RLock()
        self._known: set[str] = set()
        self._covered: set[str] = set()
        # Rows that were read earlier are in one table; new rows are in one table per file.
        self._whole: list[pa.Table] = []
        self._new: list[pa.Table] = []
        self._problems: dict[str, str] = {}
        self._attempts_of: dict[str, frozenset[str]] = {}

    def __reduce__(self) -> tuple[type["TableFiles"], tuple[str]]:
        # Rows are not pickled; another process reads the files itself.
        return TableFiles, (self.name,)

    def read(self, storage: "Storage") -> pa.Table:
        """Return all rows; damaged files are named in a warning and left out."""
        with self._lock:
            return self._read(storage)

    def _read(self, storage: "Storage") -> pa.Table:
        for _ in range(READS):
            try:
                self._read_new_files(storage)
                break
            except FileNotFoundError:
                # The table was compacted while it was being read: the rows are now in a segment.
                self._forget()
        else:
            raise UserError(f"{storage.uri}/{self.folder}: its files kept changing while they were being read; try again")
        for name, reason in self._problems.items():
            self._warn(storage, name, reason)
        return self._combined()

    def _combined(self) -> pa.Table:
        if self._new:
            self._whole = _concatenate([*self._whole, *self._new], self.name == "metrics")
            self._new = []
        return self._whole[0] if self._whole else arrow_schema(TABLES[self.name]).empty_table()

    def state(self) -> tuple[pa.Table, set[str], set[str]]:
        """Return the rows that were read, the files they came from, and the attempts that these cover."""
        with self._lock:
            return self._combined(), self._known - set(self._problems), set(self._covered)

    def start_from(self, table: pa.Table, names: set[str], covered: set[str]) -> None:
        """Use a table as the content of the named files, so that only other files are read from now on."""
        with self._lock:
            self._forget()
            self._whole, self._known, self._covered = [table], names, covered

    def covered(self, storage: "Storage") -> set[str]:
        """Return the names RUN_ID-ATTEMPT of the attempts in the table; the table is only read if it has segments."""
        names = storage.names(self.folder, ".parquet")
        found = {name.removesuffix(".parquet") for name in names if not is_segment(name)}
        with self._lock:
            if any(is_segment(name) for name in names):
                self.read(storage)
            return found | self._covered

    def rows_of(self, storage: "Storage", attempts: Iterable[str]) -> pa.Table:
        """Return the rows of a few attempts, reading only their single-attempt files where these exist."""
        tables, rest = [], set[str]()
        for one in sorted(set(attempts)):
            name = f"{one}.parquet"
            try:
                tables.append(decode_table(storage.read(f"{self.folder}/{name}"), self.name, name)[0])
            except FileNotFoundError:
                # Its rows, if any, are in a segment.
                rest.add(one)
            except NewerSchemaError as error:
                raise UserError(f"{storage.uri}/{self.folder}/{name}: {error}") from error
            except DAMAGE as error:
                self._warn(storage, name, reason_of(error))
        tables += self._rows_of_segments(storage, rest) if rest else []
        return pa.concat_tables(tables) if tables else arrow_schema(TABLES[self.name]).empty_table()

    def _rows_of_segments(self, storage: "Storage", attempts: set[str]) -> Iterator[pa.Table]:
        """Yield the rows of some attempts from the segments that contain them; damaged segments are named in a warning."""
        with self._lock:
            for name in filter(is_segment, storage.names(self.folder, ".parquet")):
                try:
                    if name not in self._attempts_of:
                        self._attempts_of[name] = attempts_of_segment(storage.read(f"{self.folder}/{name}"), name)
                    if covered := attempts & self._attempts_of[name]:
                        rows, _ = decode_table(storage.read(f"{self.folder}/{name}"), self.name, name, CODED.get(self.name))
                        attempts = attempts - covered
                        yield uncoded(only_attempts(rows, covered))
                except NewerSchemaError as error:
                    raise UserError(f"{storage.uri}/{self.folder}/{name}: {error}") from error
                except DAMAGE as error:
                    self._warn(storage, name, reason_of(error))

    def _warn(self, storage: "Storage", name: str, reason: str) -> None:
        warnings.warn(f"{storage.uri}/{self.folder}/{name} is damaged and left out: {reason}", stacklevel=6)

    def _forget(self) -> None:
        for known in (self._known, self._covered, self._whole, self._new, self._problems):
            known.clear()

    def unread(self, storage: "Storage") -> int:
        """Return the number of single-attempt files that `read` would open."""
        names = storage.names(self.folder, ".parquet")
        return sum(not is_segment(name) and name not in self._known for name in names)

    def _read_new_files(self, storage: "Storage") -> None:
        present = set(storage.names(self.folder, ".parquet"))
        if not self._known <= present:
            self._forget()
        new = sorted(present - self._known)
        # Read segments first: the attempts that they cover need not be read from single files.
        for name, found in read_files(storage, self.name, list(filter(is_segment, new))):
            self._add(name, found)
        alone = [name for name in new if not is_segment(name) and name.removesuffix(".parquet") not in self._covered]
        for name, found in read_files(storage, self.name, alone):
            self._add(name, found)
            if len(self._new) >= TABLES_AT_ONCE and is_plain(self._new[-TABLES_AT_ONCE]):
                # Many small tables take more memory than their content.
                self._new[-TABLES_AT_ONCE:] = [pa.concat_tables(self._new[-TABLES_AT_ONCE:]).combine_chunks()]
        self._known.update(new)

    def _add(self, name: str, found: Decoded | str) -> None:
        self._known.add(name)
        if isinstance(found, str):
            self._problems[name] = found
            return
        table, attempts = found
        if repeated := self._covered & set(attempts):
            table = only_attempts(table, set(attempts) - repeated)
        self._covered.update(attempts or [name.removesuffix(".parquet")])
        self._new.append(table)


def only_attempts(table: pa.Table, attempts: set[str]) -> pa.Table:
    """Return the rows of the attempts with the given names RUN_ID-ATTEMPT."""
    # Filter by run first, so that fewer names have to be built.
    own = of_runs(table, {name.rpartition("-")[0] for name in attempts})
    return own.filter(pc.is_in(_names(own), value_set=pa.array(sorted(attempts), pa.string())))


def of_runs(table: pa.Table, run_ids: Iterable[str]) -> pa.Table:
    """Return the rows of the given runs, including all their attempts."""
    wanted, column = pa.array(sorted(run_ids), pa.string()), table["run_id"]
    if is_plain(table):
        return table.filter(pc.is_in(column, value_set=wanted))
    # In a dictionary-encoded column every text is looked up once.
    flags = [pc.is_in(chunk.dictionary, value_set=wanted).take(chunk.indices) for chunk in column.chunks]
    return table.filter(pa.chunked_array(flags, pa.bool_()))


def _names(table: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(table["run_id"].cast(pa.string()), table["attempt"].cast(pa.string()), "-")


def by_attempt(*tables: pa.Table) -> dict[str, pa.Table]:
    """Return {RUN_ID-ATTEMPT: rows} from tables in which the rows of each attempt are contiguous, as in every file.

    For an attempt in several tables, the rows come from the last one.
    """
    found: dict[str, pa.Table] = {}
    for table in tables:
        names = _names(table).combine_chunks()
        ends, begin = pc.run_end_encode(names), 0
        for name, end in zip(ends.values.to_pylist(), ends.run_ends.to_pylist()):
            found[name], begin = table.slice(begin, end - begin), end
    return found


def uncoded(table: pa.Table) -> pa.Table:
    """Return the table without dictionary encoding."""
    fields = [field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field for field in table.schema]
    return table.cast(pa.schema(fields))


def is_plain(table: pa.Table) -> bool:
    """Return whether the text columns of a table are not dictionary-encoded."""
    return not pa.types.is_dictionary(table.schema.field("run_id").type)


def _concatenate(tables: list[pa.Table], coded: bool) -> list[pa.Table]:
    if not coded:
        return [pa.concat_tables(tables).combine_chunks()]
    plain = [table for table in tables if is_plain(table)]
    parts = [table for table in tables if not is_plain(table)]
    if plain:
        joined = pa.concat_tables(plain).combine_chunks()
        for name in DICTIONARY:
            place = joined.column_names.index(name)
            joined = joined.set_column(place, name, joined[name].dictionary_encode())
        parts.append(joined)
    return [pa.concat_tables(parts).unify_dictionaries()]

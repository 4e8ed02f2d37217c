"""The study index: what each site holds, one row per (site, study) and (site, series).

Rows keep the whole DICOM JSON record of the site, repaired where its character set was wrong, and
beside it the columns that search sorts and selects by. Every column can be made again from the
record and the site's feed; nothing here is the only copy of anything.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime

import sqlalchemy as sa

from gateway.records.engine import Records, UtcDateTime, metadata


def _ordered(length: int | None = None) -> sa.types.TypeEngine[str]:
    """Text compared by code point on both databases: ranges of prefixes and the order need it."""
    kind = sa.Text if length is None else sa.String
    return kind(length, collation="C").with_variant(kind(length), "sqlite")


def _made_of_record(name: str) -> sa.Column[str]:
    """A column that migration 0005 added: empty until the record is read again."""
    return sa.Column(name, _ordered(), nullable=False, server_default=sa.text("''"))


study = sa.Table(
    "study",
    metadata,
    sa.Column("site_id", sa.String(32), primary_key=True),
    sa.Column("study_uid", _ordered(64), primary_key=True),
    sa.Column("orthanc_id", sa.String(44), nullable=False),
    # study_date to odd: made of the record by index/columns.py, nowhere else.
    # DA, and TM as "HHMMSS.ffffff"; "" where the record's are absent or dirty: "" sorts last.
    sa.Column("study_date", _ordered(8), nullable=False),
    sa.Column("study_time", _ordered(13), nullable=False),
    sa.Column("accession_number", _ordered(), nullable=False),
    sa.Column("patient_id", _ordered(), nullable=False),
    # dicom/names.py: the name folded for search, its groups joined by "=" if there are several, and
    # the same in Latin letters; "" if there are several or it can be read in more than one way
    # (patient_name has them).
    sa.Column("name_key", _ordered(), nullable=False),
    sa.Column("name_latin", _ordered(), nullable=False),
    sa.Column("modalities", _ordered(), nullable=False),  # "|CT|SR|", sorted
    # model/persons.py: Identity of the record, whose name is name_key; spaces between numbers.
    _made_of_record("issuer"),
    _made_of_record("birth_date"),
    _made_of_record("sex"),
    _made_of_record("alike"),
    _made_of_record("numbers"),
    # The columns do not tell all that the record says (several values, name groups, overlong).
    sa.Column("odd", sa.Boolean, nullable=False),
    sa.Column("series_count", sa.Integer, nullable=False),
    sa.Column("instance_count", sa.Integer, nullable=False),
    # The site said, when the record was read, that images may still come (Orthanc: not IsStable;
    # other servers do not say). A copy is complete if it is not arriving and no other holder has
    # more instances: the counts are compared at reading, by federation/locate.py and merge.py.
    sa.Column("arriving", sa.Boolean, nullable=False, server_default=sa.false()),
    # Of its DICOM files as they are sent; NULL: not known yet for this state of the study.
    sa.Column("size_bytes", sa.BigInteger),
    sa.Column("record", sa.LargeBinary, nullable=False),  # DICOM JSON, one dataset
    sa.Column("changed_at", UtcDateTime),  # the site's own time of the last change
    # What the site's list said when the record was read: as long as it says so, nothing changed.
    sa.Column("mark", sa.String(64), nullable=False),
    sa.Column("first_seen_at", UtcDateTime, nullable=False),
    sa.Column("indexed_at", UtcDateTime, nullable=False),
)
# These answer most searches without a look at the wide rows.
_PLACE = (study.c.study_date.desc(), study.c.study_time.desc(), study.c.study_uid)
_SCOPE = (study.c.site_id, study.c.first_seen_at)
_NAME = (study.c.name_key, study.c.name_latin)
sa.Index("study_in_order", *_PLACE, *_SCOPE, study.c.modalities, *_NAME)
sa.Index("study_by_name", study.c.name_key, *_PLACE, *_SCOPE)
sa.Index("study_by_modalities", study.c.modalities, *_PLACE, *_SCOPE)
sa.Index("study_by_patient_id", study.c.patient_id)
sa.Index("study_by_accession_number", study.c.accession_number)
sa.Index("study_by_alike", study.c.alike)
sa.Index("study_by_first_seen", study.c.first_seen_at)
sa.Index("study_by_uid", study.c.study_uid, *_SCOPE)
# In these words, so that SQLite sees that the search for odd rows is the same.
_ODD = study.c.odd == sa.true()
sa.Index("study_odd", study.c.odd, sqlite_where=_ODD, postgresql_where=_ODD)
sa.Index("study_by_orthanc_id", study.c.site_id, study.c.orthanc_id)
_UNSIZED = study.c.size_bytes.is_(None)
sa.Index(
    "study_unsized", study.c.site_id, study.c.indexed_at,
    sqlite_where=_UNSIZED, postgresql_where=_UNSIZED,
)  # fmt: skip

series = sa.Table(
    "series",
    metadata,
    sa.Column("site_id", sa.String(32), primary_key=True),
    sa.Column("series_uid", _ordered(64), primary_key=True),
    sa.Column("study_uid", _ordered(64), nullable=False),
    # By index/columns.py: series_columns.
    sa.Column("modality", sa.String(16), nullable=False),
    sa.Column("series_number", sa.BigInteger),
    sa.Column("instance_count", sa.Integer, nullable=False),
    sa.Column("size_bytes", sa.BigInteger),  # as that of a study; complete when its study is
    # Digest of the names of its instances, known with the size: the same at every holder of the
    # same images (under the same PatientID), so that halves are told from copies.
    sa.Column("content", sa.String(32)),
    # Of its state at the site, known with the size and only of a series that has come to rest: as
    # long as it stays, no image of the series has changed there. "" or NULL: not known.
    sa.Column("mark", sa.String(32)),
    sa.Column("record", sa.LargeBinary, nullable=False),
    sa.Column("first_seen_at", UtcDateTime, nullable=False),
)
sa.Index("series_of_study", series.c.site_id, series.c.study_uid)
sa.Index("series_by_study", series.c.study_uid)
sa.Index("series_by_uid", series.c.series_uid)

# What stands in these columns of `study`, each once: shorter tables in which a part of a name, or a
# name with a typing error, is looked for. records/words.py keeps them in step.
patient_name = sa.Table(
    "patient_name",
    metadata,
    sa.Column("name_key", _ordered(), primary_key=True),
    sa.Column("folded", _ordered(), primary_key=True),  # each group of the name
    sa.Column("latin", _ordered(), primary_key=True),  # one row for each of its latin_readings
    sqlite_with_rowid=False,
)
sa.Index("patient_name_by_folded", patient_name.c.folded, patient_name.c.name_key)
sa.Index("patient_name_by_latin", patient_name.c.latin, patient_name.c.name_key)
word_of_name = sa.Table(
    "word_of_name",
    metadata,
    sa.Column("word", _ordered(), primary_key=True),
    sa.Column("place", sa.SmallInteger, primary_key=True),  # 0 is the family name
    sa.Column("name_key", _ordered(), primary_key=True),
    sqlite_with_rowid=False,
)
sa.Index("words_of_name", word_of_name.c.name_key, word_of_name.c.word, word_of_name.c.place)
# Endings of each word and of its Latin readings (`form` is the whole), and the whole with a space
# before it: "*иван*" is what has an ending that begins so, and " иван" begins a word.
word_ending = sa.Table(
    "word_ending",
    metadata,
    sa.Column("ending", _ordered(), primary_key=True),
    sa.Column("form", _ordered(), primary_key=True),
    sa.Column("word", _ordered(), primary_key=True),
    sqlite_with_rowid=False,
)
modality_set = sa.Table(
    "modality_set",
    metadata,
    sa.Column("modalities", _ordered(), primary_key=True),
    sqlite_with_rowid=False,
)

# Every site that has rows has one here (records/indexing.py writes both in one transaction): by it
# index/scope.py sees whether the sites that are asked are all there are.
site_cursor = sa.Table(
    "site_cursor",
    metadata,
    sa.Column("site_id", sa.String(32), primary_key=True),
    # Where in the site's /changes we are, and what the entry there was (routing.md 2.1).
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    # "filling" until every study was read once, then "following".
    sa.Column("phase", sa.String(16), nullable=False),
    sa.Column("filled", sa.Integer, nullable=False),
    sa.Column("to_fill", sa.Integer, nullable=False),
    # When this stretch of the fill began (a start of the keeper, of the window), and with how many.
    sa.Column("fill_began_at", UtcDateTime, nullable=False),
    sa.Column("filled_before", sa.Integer, nullable=False, server_default="0"),
    sa.Column("read_at", UtcDateTime),  # the feed was read to its end
    sa.Column("swept_at", UtcDateTime),  # the whole list was compared
    # Whose PatientIDs the rows are taken to be where the site's records do not say.
    sa.Column("issuer", sa.String(64), nullable=False, server_default=sa.text("''")),
    # Studies that the site lists but cannot tell of; they are tried again.
    sa.Column("aside", sa.Integer, nullable=False, server_default="0"),
    # Sum of study.size_bytes of the site, and of how many studies that is.
    sa.Column("size_bytes", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("sized", sa.Integer, nullable=False, server_default="0"),
)

# How many rows of `study` were ever deleted, by site: whoever counts the rows sees by it whether
# his count still holds (index/totals.py). It stays when the site is forgotten.
study_deletion = sa.Table(
    "study_deletion",
    metadata,
    sa.Column("site_id", sa.String(32), primary_key=True),
    sa.Column("rows", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True)
class IndexState:
    """How far a site is in the index.

    phase       "filling" until its whole list was read once; "" if it was never read
    filled      studies in the index; of `to_fill` while it is filling
    read_at     when its feed was last read to the end; what came later is not in the index
    swept_at    when its whole list was last compared
    aside       studies that the site lists but cannot tell of; they are tried again
    size_bytes  of the DICOM files of `sized` studies; the sizes of the others are not known yet
    """

    phase: str
    filled: int
    to_fill: int
    fill_began_at: datetime
    read_at: datetime | None
    swept_at: datetime | None
    filled_before: int = 0
    aside: int = 0
    size_bytes: int = 0
    sized: int = 0

    @property
    def share(self) -> float:
        """Part of the site that is in the index, 0 to 1."""
        if self.phase == "following":
            return 1.0
        return min(self.filled / self.to_fill, 1.0) if self.to_fill else 0.0

    def rate(self, now: datetime) -> float | None:
        """Studies read in a second since this stretch of the fill began; None if it is full."""
        spent = (now - self.fill_began_at).total_seconds()
        if self.phase == "following" or spent <= 0:
            return None
        return (self.filled - self.filled_before) / spent

    def time_left_s(self, now: datetime) -> float | None:
        """Seconds until the fill ends, by its rate so far; None if it does not fill or start."""
        rate = self.rate(now)
        return (self.to_fill - self.filled) / rate if rate else None


def load_index_states(records: Records) -> Mapping[str, IndexState]:
    """How far each site is in the index, by site id; a site that was never read is absent."""
    names = [field.name for field in fields(IndexState)]
    question = sa.select(site_cursor.c.site_id, *(site_cursor.c[name] for name in names))
    with records.read() as connection:
        rows = connection.execute(question).mappings().all()
    return {row["site_id"]: IndexState(*(row[name] for name in names)) for row in rows}


def study_uids(records: Records) -> Iterator[str]:
    """Of all studies of the index, each once."""
    with records.read() as connection:
        question = sa.select(study.c.study_uid).distinct()
        yield from connection.execution_options(yield_per=10_000).execute(question).scalars()

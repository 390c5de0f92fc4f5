"""Silo records made comparable.

Belongs here: the input contract and the cleaning that every comparison relies on: kind (person or
business), given name with its formal forms, surname, telephone numbers as a set, a normal address, and the
removal of values that too many records share to tell anybody apart. Does not belong here: comparing two
records.
"""

from __future__ import annotations

from typing import Final

import duckdb
import pyarrow as pa

from connectors.errors import GridCRMError
from orchestration.identity.nicknames import formal_names

RECORD_COLUMNS: Final = {
    "record_id": "varchar",
    "source": "varchar",
    "source_key": "varchar",
    "name_kind": "varchar",
    "given_name": "varchar",
    "surname": "varchar",
    "full_name": "varchar",
    "business_name": "varchar",
    "birth_date": "date",
    "phone_e164": "varchar",
    "phone2_e164": "varchar",
    "email": "varchar",
    "address_line": "varchar",
    "postcode": "varchar",
    "account_no": "varchar",
}
"""The columns read from ``int_identity_records``, one row a silo record, with their SQL types."""

MAX_NAMES: Final = 4
"""A telephone, e-mail or account under more surnames than this belongs to no household."""

CLEARLY: Final = 4
"""A word is clearly a surname when it is one this many times as often as a given name."""

REQUIRED_COLUMNS: Final = ("record_id", "source", "source_key")
"""Without these nothing can be resolved; any other missing column counts as unknown everywhere."""


class IdentityError(GridCRMError):
    """The records to resolve break their contract; the message names the column and the remedy."""


_BUSINESS_WORDS: Final = (
    "llc|l l c|inc|incorporated|ltd|limited|corp|corporation|company|co|llp|plc|gmbh|bakery|diner|cafe|"
    "restaurant|market|store|shop|services|garage|church|school|clinic|dental|salon|farms|hardware|brewing|laundry|holdings|"
    "properties|management|associates|partners|enterprises|group|apartments"
)
_LEGAL_FORMS: Final = (
    "llc|l l c|inc|incorporated|ltd|limited|corp|corporation|company|co|llp|plc|gmbh|the|and"
)
_TITLES: Final = "mr|mrs|ms|miss|dr|prof|rev|sir|mx"
_SUFFIXES: Final = "jr|sr|junior|senior|ii|iii|iv"
_STREET_WORDS: Final = {
    "street": "st",
    "avenue": "ave",
    "road": "rd",
    "drive": "dr",
    "lane": "ln",
    "court": "ct",
    "boulevard": "blvd",
    "place": "pl",
    "circle": "cir",
    "terrace": "ter",
    "highway": "hwy",
    "parkway": "pkwy",
    "north": "n",
    "south": "s",
    "east": "e",
    "west": "w",
    "apartment": "apt",
    "unit": "apt",
}


def register_records(con: duckdb.DuckDBPyConnection, records: pa.Table) -> None:
    """Make the view ``given_records`` with exactly :data:`RECORD_COLUMNS`.

    Raises :class:`IdentityError` when a required column is absent or null, or a record id occurs twice.
    """
    missing = [name for name in REQUIRED_COLUMNS if name not in records.column_names]
    if missing:
        raise IdentityError(
            f"identity records lack the column {missing[0]}: add it to the model int_identity_records"
        )
    con.register("supplied_records", records)
    columns = ", ".join(
        f"try_cast({name} as {kind}) as {name}" if name in records.column_names else f"null::{kind} as {name}"
        for name, kind in RECORD_COLUMNS.items()
    )
    con.execute(f"create or replace table given_records as select {columns} from supplied_records")
    con.unregister("supplied_records")
    total, distinct, complete = _row(
        con,
        "select count(*), count(distinct record_id),"
        " count(*) filter (where record_id is not null and source is not null and source_key is not null)"
        " from given_records",
    )
    if complete < total:
        raise IdentityError(
            f"{total - complete} identity records lack record_id, source or source_key:"
            " mend the model int_identity_records"
        )
    if distinct < total:
        raise IdentityError(
            f"{total - distinct} identity records repeat a record_id:"
            " int_identity_records must have one row a record"
        )


def prepare_records(con: duckdb.DuckDBPyConnection, *, hub_limit: int) -> dict[str, int]:
    """Make the table ``record`` from ``given_records`` and say how many shared values were set aside.

    ``hub_limit``: a telephone number, e-mail or account on more records than this is a switchboard, a
    landlord or a placeholder. It counts as unknown, so that it neither joins strangers nor makes the
    blocks explode.
    """
    names = formal_names()
    con.register(
        "nickname",
        pa.table({"short": list(names), "formal": list(names.values())}),
    )
    address = "lower(regexp_replace(coalesce(address_line, ''), '[^0-9A-Za-z]+', ' ', 'g'))"
    for word, short in _STREET_WORDS.items():
        address = f"regexp_replace({address}, '\\b{word}\\b', '{short}', 'g')"
    # 'Smith, John' is John Smith; further commas are left to the comparison.
    in_order = (
        "case when full_name like '%,%' and full_name not like '%,%,%'"
        " then split_part(full_name, ',', 2) || ' ' || split_part(full_name, ',', 1) else full_name end"
    )
    con.execute(
        f"""
        create or replace table worded as
        with texts as (
            select
                *,
                {letters("given_name")} as given_text,
                trim(regexp_replace({letters("surname")}, '\\b({_SUFFIXES})\\b', ' ', 'g')) as surname_text,
                trim(regexp_replace({letters(in_order, "0-9")}, '\\b({_TITLES})\\b', ' ', 'g')) as full_text,
                {letters("business_name", "0-9")} as business_text
            from given_records
        )
        select
            *,
            regexp_extract(full_text || ' ' || {letters("surname")}, '\\b({_SUFFIXES})\\b', 1) as suffix_text,
            list_filter(
                string_split_regex(regexp_replace(full_text, '\\b({_SUFFIXES})\\b', ' ', 'g'), '\\s+'),
                lambda word: word <> '') as name_words,
            {_without_legal_form("coalesce(nullif(business_text, ''), nullif(full_text, ''), surname_text)")}
                as business
        from texts
        """
    )
    con.execute(
        f"""
        create or replace table cleaned as
        with known_business as (
            select distinct business from worded where name_kind = 'B' or business_text <> ''
        ),
        kinds as (
            select
                w.*,
                case
                    when w.name_kind = 'B' or (w.business_text <> '' and w.surname_text = '') then 'B'
                    when w.surname_text <> '' or w.given_text <> '' then 'P'
                    when b.business is not null then 'B'  -- another record says that this name is a business
                    when w.name_kind = 'P' then 'P'
                    when regexp_matches(w.full_text, '\\b({_BUSINESS_WORDS})\\b') then 'B'
                    else 'P'
                end as kind
            from worded w left join known_business b on b.business = w.business
        ),
        spoken as (
            select word, sum(as_given) as as_given, sum(as_surname) as as_surname
            from (
                select unnest([string_split(given_text, ' ')[1], surname_text]) as word,
                    unnest([1, 0]) as as_given, unnest([0, 1]) as as_surname
                from kinds
                where kind = 'P' and given_text <> '' and surname_text <> ''
            )
            group by word
        ),
        named as (
            select
                k.*,
                coalesce(nullif(string_split(k.given_text, ' ')[1], ''),
                    case when length(k.name_words) > 1 then k.name_words[1] end) as first_word,
                coalesce(nullif(k.surname_text, ''), k.name_words[-1]) as last_word
            from kinds k
        ),
        ordered as (
            select
                n.*,
                -- 'Hall S' is S. Hall. 'Johnson Hraold' is a Johnson: where a source says which word is the
                -- surname, Johnson is one more often than a given name. A source that says it is believed,
                -- unless both words are clearly the other thing.
                n.first_word is not null and (
                    (length(n.last_word) = 1 and length(n.first_word) > 1)
                    or (n.surname_text = '' and coalesce(f.as_surname - f.as_given, 0)
                        > greatest(coalesce(l.as_surname - l.as_given, 0), 0))
                    -- 'Smiht Charlotte': nobody's given name before what is clearly one.
                    or (n.surname_text = '' and coalesce(f.as_given, 0) = 0
                        and l.as_given > {CLEARLY} * l.as_surname)
                    or (n.surname_text <> '' and f.as_surname > {CLEARLY} * f.as_given
                        and l.as_given > {CLEARLY} * l.as_surname)
                ) as is_exchanged
            from named n
            left join spoken f on f.word = n.first_word
            left join spoken l on l.word = n.last_word
        )
        select
            record_id,
            kind,
            case when kind = 'P' then if(is_exchanged, last_word, first_word) end as given,
            case when kind = 'P' then if(is_exchanged, first_word, last_word) end as surname,
            case when kind = 'P' then
                case suffix_text
                    when 'junior' then 'jr' when 'senior' then 'sr' when '' then null else suffix_text end
            end as suffix,
            case when kind = 'B' then business end as business,
            strftime(birth_date, '%Y%m%d') as birth,
            nullif(trim(phone_e164), '') as phone_1,
            nullif(trim(phone2_e164), '') as phone_2,
            nullif(lower(trim(email)), '') as email,
            nullif(trim(regexp_replace({address}, '\\s+', ' ', 'g')), '') as address,
            nullif(left(trim(postcode), 5), '') as postcode,
            nullif(trim(account_no), '') as account
        from ordered
        """
    )
    set_aside = {
        "phone": _make_hubs(con, "phone", "unnest([phone_1, phone_2])", hub_limit),
        "email": _make_hubs(con, "email", "email", hub_limit),
        "account": _make_hubs(con, "account", "account", hub_limit),
    }
    con.execute(
        """
        create or replace table record as
        with given_count as (select given, count(*) as n from cleaned where given is not null group by given)
        select
            c.record_id,
            c.kind,
            c.given,
            case when c.given is not null then
                list_sort(list_distinct(list_prepend(c.given, coalesce(k.formal, [])))) end as given_forms,
            coalesce(g.n, 0) as given_n,
            c.surname,
            c.suffix,
            c.business,
            c.birth,
            case when h1.value is null then c.phone_1 end as phone_1,
            case when h2.value is null then c.phone_2 end as phone_2,
            case when phone_1 is not null or phone_2 is not null then [phone_1, phone_2] end as phones,
            case when he.value is null then c.email end as email,
            case when he.value is null then nullif(split_part(c.email, '@', 1), '') end as email_local,
            c.address,
            regexp_extract(c.address, '^[0-9]+') as house,
            c.postcode,
            case when ha.value is null then c.account end as account
        from cleaned c
        left join nickname k on k.short = c.given
        left join given_count g on g.given = c.given
        left join hub_phone h1 on h1.value = c.phone_1
        left join hub_phone h2 on h2.value = c.phone_2
        left join hub_email he on he.value = c.email
        left join hub_account ha on ha.value = c.account
        order by c.record_id
        """
    )
    con.unregister("nickname")
    return set_aside


def letters(expression: str, also: str = "") -> str:
    """SQL that keeps lower-case letters without accents: O'Neill is oneill, Smith-Jones is smith jones."""
    plain = f"replace(lower(strip_accents(coalesce({expression}, ''))), '''', '')"
    return f"trim(regexp_replace({plain}, '[^a-z{also} ]+', ' ', 'g'))"


def _without_legal_form(expression: str) -> str:
    """SQL for a business name without Inc., The and the like."""
    return (
        f"nullif(trim(regexp_replace(regexp_replace({expression}, '\\b({_LEGAL_FORMS})\\b', ' ', 'g'),"
        " '\\s+', ' ', 'g')), '')"
    )


def _make_hubs(con: duckdb.DuckDBPyConnection, name: str, value: str, limit: int) -> int:
    """Make the table ``hub_{name}`` of the values that tell nobody apart; returns how many there are."""
    con.execute(
        f"""
        create or replace table hub_{name} as
        select value
        from (select {value} as value, coalesce(surname, business) as whose from cleaned)
        where value is not null
        group by value
        having count(*) > {int(limit)} or count(distinct whose) > {MAX_NAMES}
        """
    )
    return int(_row(con, f"select count(*) from hub_{name}")[0])


def _row(con: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    """The one row of a query that always has one."""
    row = con.execute(query).fetchone()
    if row is None:
        raise IdentityError(f"this query gave no row: {query}")
    return tuple(row)

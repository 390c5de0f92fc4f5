"""The project as dbt parses it: described, keys tested, contracts enforced, exits declared, layers kept."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.dbt_project.conftest import PROJECT, Warehouse
from tests.dbt_project.raw_tables import RAW_SCHEMAS

#: Reads keep every version, so that staging has no key; the key of the fact is tested with its energy.
#: Every version of every read as delivered: a read comes twice, and that is what they are for.
KEYLESS = {
    "stg_mdm__interval_reads",
    "stg_ami__interval_reads",
    "int_interval_reads",
    "fct_interval_read_version",
}
KEY_TESTED_BY = {"fct_interval_usage": "interval_usage_holds_every_read_once"}
#: Written by identity resolution, which reads staging: read there, the graph would have a cycle.
AFTER_STAGING = {"customer_xref", "customer_alias", "identity_review"}


@pytest.fixture(scope="module")
def nodes(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    manifest = warehouse.artifact("manifest")
    return {**manifest["nodes"], **manifest["sources"], **manifest["exposures"]}


@pytest.fixture(scope="module")
def models(nodes: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {n["name"]: n for n in nodes.values() if n["resource_type"] == "model"}


def test_every_model_and_column_is_described(warehouse: Warehouse, models: dict[str, dict[str, Any]]) -> None:
    missing = []
    for name, model in models.items():
        if "rain:" not in model["description"]:
            missing.append(f"{name}: grain")
        described = {column for column, about in model["columns"].items() if about["description"].strip()}
        built = {
            row[0]
            for row in warehouse.rows(
                f"select column_name from information_schema.columns where table_name = '{name}'"
            )
        }
        assert built, name
        missing += [f"{name}.{column}" for column in built ^ described]
    assert missing == []


def test_sources_are_described_owned_and_fresh(nodes: dict[str, dict[str, Any]]) -> None:
    sources = [n for n in nodes.values() if n["resource_type"] == "source"]
    assert {s["source_name"] for s in sources} == {
        "cis",
        "collections",
        "crm",
        "mdm",
        "ami",
        "han",
        "oms",
        "weather",
        "dialer",
        "print",
        "campaign",
        "gridcrm",
        "scores",
    }
    for source in sources:
        assert source["description"].strip(), source["unique_id"]
        assert source["source_description"].strip(), source["unique_id"]
        assert source["config"]["meta"]["owner"], source["unique_id"]
    watched = {s["source_name"] for s in sources if (s["freshness"] or {}).get("warn_after", {}).get("count")}
    assert watched == {s["source_name"] for s in sources} - {"gridcrm", "scores"}
    assert all(s["loaded_at_field"] == "_loaded_at" for s in sources if s["source_name"] in watched)


def test_contracts_are_enforced_where_others_read(models: dict[str, dict[str, Any]]) -> None:
    for name, model in models.items():
        folder = model["fqn"][1]
        assert model["config"]["contract"]["enforced"] == (folder in ("unified", "push")), name


def test_every_key_is_tested(nodes: dict[str, dict[str, Any]], models: dict[str, dict[str, Any]]) -> None:
    tests = [n for n in nodes.values() if n["resource_type"] == "test"]
    keyed = {
        models_of
        for test in tests
        if (test.get("test_metadata") or {}).get("name") == "unique_combination"
        for models_of in [test["attached_node"].split(".")[-1]]
    }
    names = {test["name"] for test in tests}
    assert set(KEY_TESTED_BY.values()) <= names
    assert set(models) - keyed == KEYLESS | set(KEY_TESTED_BY)


def test_every_push_has_an_exposure_with_an_owner(
    nodes: dict[str, dict[str, Any]], models: dict[str, Any]
) -> None:
    exposed: set[str] = set()
    for exposure in (n for n in nodes.values() if n["resource_type"] == "exposure"):
        assert exposure["owner"]["name"]
        assert exposure["description"].strip()
        exposed |= {name.split(".")[-1] for name in exposure["depends_on"]["nodes"]}
    assert exposed == {name for name, model in models.items() if model["fqn"][1] == "push"}


def test_every_push_says_why_it_withholds(models: dict[str, dict[str, Any]]) -> None:
    for name, model in models.items():
        assert ("withheld_reason" in model["columns"]) == (model["fqn"][1] == "push"), name


def test_daily_chain_reads_meters_and_itself_only(models: dict[str, dict[str, Any]]) -> None:
    """An unpartitioned model between partitioned ones would make a backfill succeed without running it."""
    daily = {model["unique_id"] for model in models.values() if "daily" in model["tags"]}
    assert {name.split(".")[-1] for name in daily} == {
        "stg_mdm__interval_reads",
        "stg_ami__interval_reads",
        "int_interval_reads",
        "int_register_days",
        "fct_interval_usage",
        "fct_interval_read_version",
        "fct_usage_daily",
        "fct_usage_slot",
    }
    for model in models.values():
        if model["unique_id"] in daily:
            assert set(model["depends_on"]["nodes"]) <= daily | {
                "source.gridcrm.mdm.interval_reads",
                "source.gridcrm.ami.interval_reads",
            }


def test_layers_point_one_way(nodes: dict[str, dict[str, Any]], models: dict[str, dict[str, Any]]) -> None:
    rank = {"staging": 0, "intermediate": 1, "unified": 1, "push": 2}
    for model in models.values():
        folder = model["fqn"][1]
        for parent in model["depends_on"]["nodes"]:
            if parent.startswith("model."):
                assert rank[nodes[parent]["fqn"][1]] <= rank[folder], (model["name"], parent)
            elif parent.startswith("source.gridcrm.scores."):
                assert folder == "push", (model["name"], parent)
            elif parent.startswith("source.gridcrm.gridcrm.") and parent.split(".")[-1] in AFTER_STAGING:
                assert folder == "intermediate", (model["name"], parent)
            else:
                assert folder == "staging", (model["name"], parent)


def test_identity_records_stand_before_identity(
    nodes: dict[str, dict[str, Any]], models: dict[str, Any]
) -> None:
    for parent in models["int_identity_records"]["depends_on"]["nodes"]:
        assert nodes[parent]["fqn"][1] == "staging"


def test_personal_columns_are_marked(models: dict[str, dict[str, Any]]) -> None:
    personal = {"full_name", "email", "birth_date", "phone_e164", "primary_phone_e164", "address_line"}
    sensitive = {"is_medical", "is_vulnerable", "is_deceased", "is_bankrupt", "is_priority"}
    derived = {"kwh", "raw_kwh", "import_kwh", "usage_30d_kwh", "load_shape_segment", "sum_kwh"}
    wanted = {
        **dict.fromkeys(personal, "personal"),
        **dict.fromkeys(sensitive, "sensitive"),
        **dict.fromkeys(derived, "interval_derived"),
    }
    for name, model in models.items():
        for column, about in model["columns"].items():
            if column in wanted:
                assert about["config"]["meta"].get("privacy") == wanted[column], f"{name}.{column}"


def test_engine_functions_stay_in_the_engine_folder() -> None:
    """What only DuckDB speaks is called through a macro, so that another engine needs one folder."""
    duckdb_only = re.compile(
        r"\b(epoch_us|epoch_ms|to_timestamp|isodow|strptime|try_strptime|strftime|arg_max|arg_min|list_\w+|unnest|"
        r"generate_series|datesub|make_timestamp|timezone|read_parquet|string_agg|regexp_\w+)\s*\("
    )
    offenders = [
        f"{path.relative_to(PROJECT)}: {match.group(1)}"
        for folder in ("models", "tests", "macros")
        for path in (PROJECT / folder).rglob("*.sql")
        if "engine" not in path.parts
        for match in duckdb_only.finditer(
            re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", "", path.read_text(), flags=re.S)
        )
    ]
    assert offenders == []


def test_town_has_every_source_table(nodes: dict[str, dict[str, Any]]) -> None:
    tables = {
        f"{n['source_name']}/{n['name']}"
        for n in nodes.values()
        if n["resource_type"] == "source" and n["source_name"] != "scores"
    }
    assert tables == set(RAW_SCHEMAS)

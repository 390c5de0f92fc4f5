"""A feed is a component: Dagster's tools see it, its assets link to its YAML, editors know its keys."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import jsonschema
import pytest
import yaml
from dagster.components.core.load_defs import build_defs_for_component
from dagster.components.testing import create_defs_folder_sandbox

from connectors.ingest import FeedConfig, FeedError, feed_files, load_feeds
from connectors.ingest.schema import feed_schema
from orchestration.assets.raw import freshness
from orchestration.components import Feed, FeedTree
from orchestration.gateway import Gateway
from orchestration.settings import HERE, Settings

SCHEMA = HERE / "feeds" / "feed.schema.json"
REAL = HERE.parent / "demo" / "real_feeds"


def resolvable(found: dg.Definitions, settings: Settings) -> dg.Definitions:
    """With the resource that the code location brings."""
    return dg.Definitions.merge(found, dg.Definitions(resources={"gateway": Gateway.of(settings)}))


def test_every_feed_is_a_component_with_assets_checks_job_and_sensor(settings: Settings) -> None:
    tree = FeedTree.of(settings)
    found = tree.get_all_components(of_type=Feed)
    assert sorted(component.feed.source for component in found) == sorted(tree.feeds)
    for component in found:
        feed = component.feed
        alone = resolvable(build_defs_for_component(component), settings)
        keys = alone.resolve_asset_graph().materializable_asset_keys
        assert {key.path[2] for key in keys} == set(feed.tables)
        assert [job.name for job in alone.jobs or []] == [f"ingest_{feed.source}_job"]
        assert len(list(alone.sensors or [])) == 1
        assert len(list(alone.schedules or [])) == (1 if feed.kind == "sql" else 0)


def test_an_asset_links_to_its_line_of_yaml(defs: dg.Definitions) -> None:
    spec = next(s for s in defs.resolve_all_asset_specs() if s.key == dg.AssetKey(["raw", "oms", "outage"]))
    references = spec.metadata["dagster/code_references"].code_references
    assert any(ref.file_path.endswith("feeds/oms/defs.yaml") for ref in references)
    assert isinstance(spec.metadata["dagster/component_origin"].instance, Feed)


def test_the_folder_of_the_settings_is_read_with_its_settings(settings: Settings, tmp_path: Path) -> None:
    source = (HERE / "feeds" / "oms" / "defs.yaml").read_text()
    (tmp_path / "oms").mkdir()
    (tmp_path / "oms" / "defs.yaml").write_text(source.replace("One row an outage", "One row a blackout"))
    other = replace(settings, feeds=tmp_path, deployment="production")
    found = resolvable(FeedTree.of(other).definitions(), other)
    (spec,) = found.resolve_all_asset_specs()
    assert str(spec.description).startswith("One row a blackout")
    assert [s.default_status for s in found.sensors or []] == [dg.DefaultSensorStatus.RUNNING]


def test_a_mistake_is_one_line_before_dagster_sees_it(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "oms").mkdir()
    source = (HERE / "feeds" / "oms" / "defs.yaml").read_text()
    (tmp_path / "oms" / "defs.yaml").write_text(source.replace("  owner:", "  ownr:"))
    with pytest.raises(FeedError, match=r"^oms/defs.yaml:6: ownr: unknown key; did you mean 'owner'\?$"):
        FeedTree.of(replace(settings, feeds=tmp_path))


def test_a_scaffolded_feed_is_one_that_loads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRIDCRM_DATA", str(tmp_path))
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(component_cls=Feed, defs_path="grants")
        with sandbox.load_component_and_build_defs(defs_path=path) as (component, found):
            assert isinstance(component, Feed)
            assert component.feed.source == "grants"
            assert resolvable(found, Settings.from_env()).resolve_job_def("ingest_grants_job")


def test_the_committed_schema_is_that_of_the_models() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == json.loads(
        json.dumps(feed_schema(), default=str)
    ), f"run: gridcrm schema feed --out {SCHEMA.relative_to(HERE.parent)}"


def feed_documents() -> list[Path]:
    return [*feed_files(HERE / "feeds"), *feed_files(REAL)]


@pytest.mark.parametrize("path", feed_documents(), ids=lambda path: path.parent.name)
def test_every_feed_satisfies_the_schema_it_names(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()
    named = next(line for line in first if line.startswith("# yaml-language-server: $schema="))
    assert (path.parent / named.partition("$schema=")[2]).resolve() == SCHEMA
    jsonschema.Draft202012Validator(feed_schema()).validate(yaml.safe_load("\n".join(first)))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("ownr",), "x"),
        (("file", "format"), "csv"),
        (("file", "settings", "delimitr"), ";"),
        (("file", "complete"), "stabel_size"),
        (("contract",), "evolv"),
        (("kind",), "sql"),
        (("freshness", "fail_after"), "soon"),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_the_schema_finds_what_the_loader_finds(place: tuple[str, ...], value: Any) -> None:
    document = yaml.safe_load((HERE / "feeds" / "oms" / "defs.yaml").read_text())
    section = document["attributes"]
    for key in place[:-1]:
        section = section[key]
    section[place[-1]] = value
    errors = list(jsonschema.Draft202012Validator(feed_schema()).iter_errors(document))
    assert errors


def test_every_key_of_a_feed_is_described() -> None:
    schema = feed_schema()
    models = {"Feed": schema["properties"]["attributes"], **schema["$defs"]}
    silent = [
        f"{model}.{key}"
        for model, entry in models.items()
        if "." not in model  # of a format: its own helper describes its settings
        for branch in (entry, *entry.get("anyOf", []))
        for key, about in branch.get("properties", {}).items()
        if "description" not in about
    ]
    assert silent == []


def feed_with(settings: Settings, **said: object) -> FeedConfig:
    feed = load_feeds(settings.feeds)["oms"]
    return FeedConfig.model_validate({**feed.model_dump(by_alias=True), "freshness": said})


NOON = datetime(2026, 11, 16, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "hours_ago", "state"),
    [
        ({"fail_after": "26h", "warn_after": "25h"}, 1, "fresh"),
        ({"fail_after": "26h", "warn_after": "25h"}, 25.5, "late"),
        ({"fail_after": "26h"}, 26, "silent"),
        ({"fail_after": "26h"}, None, "awaited"),
        # 05:30 in Chicago is 11:30 UTC: delivered at 09:00 UTC counts for it, the day before does not.
        ({"deadline": "30 5 * * *", "within": "6h"}, 3, "fresh"),
        ({"deadline": "30 5 * * *", "within": "6h"}, 7, "silent"),
    ],
)
def test_a_source_that_falls_silent_is_found(
    settings: Settings, said: dict[str, str], hours_ago: float | None, state: str
) -> None:
    delivered = None if hours_ago is None else NOON - timedelta(hours=hours_ago)
    feed = feed_with(settings, **said)
    assert freshness.judge(feed, delivered, NOON, "America/Chicago") == state
    result = freshness.check_result(feed, delivered, NOON, "America/Chicago")
    assert result.passed == (state == "fresh")
    assert (result.severity == dg.AssetCheckSeverity.ERROR) == (state == "silent")
    assert freshness.policy(feed, "America/Chicago") is not None


def test_every_shipped_feed_says_when_silence_is_a_fault(defs: dg.Definitions) -> None:
    nodes = defs.resolve_asset_graph()
    raw = [
        key for key in nodes.materializable_asset_keys if key.path[0] == "raw" and key.path[1] != "gridcrm"
    ]
    assert [key for key in raw if nodes.get(key).freshness_policy_or_from_metadata is None] == []

"""From a push's YAML to the asset that sends it.

Belongs here: the plan and the receipts as metadata, guards as checks. Does not belong here: what is sent (a
dbt model in push/), how it is compared and sent (connectors/activation), or why (scores).
"""

from collections.abc import Callable
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.activation import Plan, PushConfig, PushReport
from orchestration.as_of import as_of_date
from orchestration.assets.metadata import markdown_table
from orchestration.failures import RETRIES, one_clear_line
from orchestration.gateway import Gateway

GUARDS = "guards_hold"
ACCOUNTED = "every_row_accounted_for"
KINDS = {"sql_upsert": "postgres", "sftp_csv": "sftp", "sftp_letters": "sftp", "http_audience": "http"}

RowsOf = Callable[[PushConfig, Gateway], pa.Table]


class SendConfig(dg.Config):
    """What a run may say about its pushes; unset, the deployment's own default holds."""

    dry_run: bool | None = None


def asset_key(push: PushConfig) -> dg.AssetKey:
    """``push/send_<push>``; the model it sends is ``push/push_<push>``."""
    return dg.AssetKey(["push", f"send_{push.name}"])


def model_rows(push: PushConfig, gateway: Gateway) -> pa.Table:
    """The published copy of the dbt model that a push sends."""
    return pq.ParquetFile(gateway.paths.published / "push" / f"{push.model}.parquet").read()


def build_push_asset(push: PushConfig, rows_of: RowsOf = model_rows) -> dg.AssetsDefinition:
    """The asset that plans, guards and sends one push.

    ``rows_of`` gives the rows to send: by default those of the dbt model, which the asset then depends on.
    """
    key = asset_key(push)
    deps = [dg.AssetKey(["push", push.model])] if rows_of is model_rows else []

    @dg.asset(
        key=key,
        deps=deps,
        description=push.description,
        group_name="push",
        owners=[push.owner],
        kinds={KINDS[push.destination.kind]},
        retry_policy=RETRIES,
        pool=f"destination_{push.destination.connection}",
        check_specs=[
            dg.AssetCheckSpec(GUARDS, asset=key, description="Deletes and changes stay under the limits of "
                              "the push; otherwise nothing is sent."),
            dg.AssetCheckSpec(ACCOUNTED, asset=key, description="Sent, failed, withheld and unchanged rows "
                              "add up to the rows of the model."),
        ],
    )  # fmt: skip
    def send(context: dg.AssetExecutionContext, config: SendConfig, gateway: Gateway) -> dg.MaterializeResult:
        dry_run = gateway.is_dry_run if config.dry_run is None else config.dry_run
        with one_clear_line():
            rows = rows_of(push, gateway)
            activation = gateway.activation()
            plan = activation.plan(push, rows, as_of_date(dict(context.run.tags), gateway))
            if plan.guard_violations and not dry_run:
                return _refused(plan)
            report = activation.send(push, plan, dry_run=dry_run)
            activation.export_receipts(gateway.paths.raw / "gridcrm" / "push_receipt")
        for message in report.messages:
            context.log.warning(message)
        return _sent(plan, report, rows.num_rows)

    return send


def _refused(plan: Plan) -> dg.MaterializeResult:
    """Nothing was sent: the check says why, and fails the run's health, not the data."""
    return dg.MaterializeResult(
        metadata=_plan_metadata(plan),
        check_results=[
            dg.AssetCheckResult(
                check_name=GUARDS, passed=False, description="; ".join(plan.guard_violations)
            ),
            dg.AssetCheckResult(check_name=ACCOUNTED, passed=True, description="nothing was sent"),
        ],
    )


def _sent(plan: Plan, report: PushReport, rows: int) -> dg.MaterializeResult:
    accounted = report.sent_rows + report.failed + report.withheld + report.unchanged
    return dg.MaterializeResult(
        metadata=_plan_metadata(plan)
        | {
            "dry_run": report.is_dry_run,
            "sent": report.sent,
            "failed": report.failed,
            "withheld": report.withheld,
            "unchanged": report.unchanged,
        },
        check_results=[
            dg.AssetCheckResult(check_name=GUARDS, passed=True),
            dg.AssetCheckResult(
                check_name=ACCOUNTED,
                passed=report.is_dry_run or accounted == rows,
                metadata={"rows": rows, "accounted": accounted},
            ),
        ],
    )


def _plan_metadata(plan: Plan) -> dict[str, Any]:
    counts = [
        ["create", plan.n_creates],
        ["update", plan.n_updates],
        ["delete", plan.n_deletes],
        ["unchanged", plan.unchanged],
        *([f"withheld: {reason}", n] for reason, n in sorted(plan.withheld.items())),
    ]
    fields = sorted(plan.field_changes.items(), key=lambda item: -item[1])
    return {
        "plan": dg.MetadataValue.md(markdown_table(["rows", "count"], counts)),
        "fields_that_change": dg.MetadataValue.md(markdown_table(["field", "rows"], fields)),
    }

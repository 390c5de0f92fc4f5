"""The realtime code location: what must reach an agent within seconds of happening.

Belongs here: assets and sensors that watch the live ledger and answer at once. Does not belong here: dbt,
scores, anything that takes longer to load than the event may wait; this module imports no dagster_dbt, and a
test holds that.
"""

import dagster as dg
import pyarrow as pa

from connectors.activation import PushConfig, load_pushes
from connectors.errors import GridCRMError
from connectors.transport.sql import SqlTransport
from orchestration.alerts import LEDGER, account_alerts, last_change
from orchestration.assets.push.pushes import build_push_asset
from orchestration.gateway import Gateway
from orchestration.jobs import AssetJob
from orchestration.settings import Settings

WATCH_SECONDS = 5


def build_defs(settings: Settings) -> dg.Definitions:
    """The account alerts: one push, its job, and the sensor that asks for it when the ledger changes."""
    pushes = load_pushes(settings.pushes / "realtime")
    assets = [build_push_asset(push, rows_of=_alert_rows) for push in pushes.values()]
    job = dg.define_asset_job(
        "account_alerts",
        dg.AssetSelection.assets(*(key for asset in assets for key in asset.keys)),
        description="Missed and returned payments, disputes and protected customers, to the agent's card.",
    )
    return dg.Definitions(
        assets=assets,
        executor=dg.in_process_executor,
        jobs=[job],
        sensors=[_ledger_changed(settings, job)],
        resources={"gateway": Gateway.of(settings)},
    )


def _alert_rows(push: PushConfig, gateway: Gateway) -> pa.Table:
    with SqlTransport(gateway.connections().sql(LEDGER)) as ledger, ledger.clear("read alerts"):
        return account_alerts(ledger.engine, gateway.today())


def _ledger_changed(settings: Settings, job: AssetJob) -> dg.SensorDefinition:
    @dg.sensor(
        name="ledger_events",
        job=job,
        minimum_interval_seconds=WATCH_SECONDS,
        default_status=dg.DefaultSensorStatus.STOPPED
        if settings.deployment == "development"
        else dg.DefaultSensorStatus.RUNNING,
        description="Looks every few seconds whether an invoice, a payment, a dispute or a flag has changed.",
    )
    def ledger_events(context: dg.SensorEvaluationContext, gateway: Gateway) -> dg.RunRequest | dg.SkipReason:
        try:
            with SqlTransport(gateway.connections().sql(LEDGER)) as ledger, ledger.clear("look for changes"):
                changed = last_change(ledger.engine)
        except GridCRMError as error:
            return dg.SkipReason(str(error))
        if changed is None or changed == context.cursor:
            return dg.SkipReason("the ledger has not changed")
        context.update_cursor(changed)
        return dg.RunRequest(run_key=changed)

    return ledger_events


defs = build_defs(Settings.from_env())

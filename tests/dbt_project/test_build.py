"""What the warehouse makes of the town: see town.py for who lives there."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.dbt_project import town, town_reads
from tests.dbt_project.conftest import Warehouse
from tests.dbt_project.raw_tables import account_no, contact_id, customer_id, service_point


def test_every_dbt_test_ran_and_passed(warehouse: Warehouse) -> None:
    statuses = {
        result["unique_id"].split(".")[0]: set() for result in warehouse.artifact("run_results")["results"]
    }
    for result in warehouse.artifact("run_results")["results"]:
        statuses[result["unique_id"].split(".")[0]].add(result["status"])
    assert statuses["model"] == {"success"}
    assert statuses["test"] == {"pass"}
    assert statuses["unit_test"] == {"pass"}


def test_troubled_reads_are_found_and_nothing_else(warehouse: Warehouse) -> None:
    found = warehouse.rows(
        """
        select service_point_id, usage_date, vee_status, vee_rule, count(*)
        from unified.fct_interval_usage where vee_status <> 'valid' group by all order by all
        """
    )
    assert found == [
        (service_point(2), town_reads.GAP_DAY, "estimated", "interpolated", 4),
        (service_point(3), town_reads.LOST_DAY, "estimated", "like_days", 96),
        (service_point(4), town_reads.SPIKE_DAY, "questionable", "spike", 1),
        (service_point(5), town_reads.FROZEN_DAY, "questionable", "frozen", 96),
        (service_point(5), town_reads.ODD_DAY, "estimated", "estimated_by_source", 4),
        (service_point(5), town_reads.ODD_DAY, "estimated", "interpolated", 4),
        (service_point(5), town_reads.ODD_DAY, "questionable", "negative", 1),
    ]


def test_gap_is_filled_on_the_line_between_its_ends(warehouse: Warehouse) -> None:
    before, after = (town_reads.reading_kwh(town_reads.GAP_DAY, slot, 2) for slot in (39, 44))
    found = warehouse.rows(
        f"""
        select kwh from unified.fct_interval_usage
        where vee_rule = 'interpolated' and service_point_id = '{service_point(2)}' order by interval_start_at
        """
    )
    expected = [before + (after - before) * step / 5 for step in range(1, 5)]
    assert [float(kwh) for (kwh,) in found] == pytest.approx(expected, abs=1e-6)


def test_corrected_day_counts_and_the_old_version_stays_in_raw(warehouse: Warehouse) -> None:
    day, point = town_reads.CORRECTED_DAY, service_point(1)
    (latest,) = warehouse.rows(
        f"select sum(kwh), count(*) from unified.fct_interval_usage "
        f"where usage_date = '{day}' and service_point_id = '{point}' and direction = 'import'"
    )
    expected = sum(town_reads.reading_kwh(day, slot, 1) + town_reads.CORRECTION_KWH for slot in range(96))
    assert float(latest[0]) == pytest.approx(expected)
    assert latest[1] == 96
    (versions,) = warehouse.rows(
        f"select count(*) from staging.stg_mdm__interval_reads where service_point_id = '{point}' "
        f"and direction = 'import' and interval_start_at::date = '{day + timedelta(days=1)}'"
    )
    assert versions[0] == 96 + 24  # of the next UTC day a quarter is still the corrected market day


def test_autumn_day_has_100_quarter_hours(warehouse: Warehouse) -> None:
    assert warehouse.rows(
        "select distinct n_expected, n_intervals, n_missing from unified.fct_usage_daily "
        "where usage_date = '2026-11-01'"
    ) == [(100, 100, 0)]


def test_energy_is_conserved_from_interval_to_slot(warehouse: Warehouse) -> None:
    (valid,) = warehouse.rows(
        """
        select sum(kwh)::double from unified.fct_interval_usage
        where direction = 'import' and service_point_id = '6100000007'
        """
    )
    (slots,) = warehouse.rows(
        "select sum(sum_kwh) from unified.fct_usage_slot where service_point_id = '6100000007'"
    )
    assert slots[0] == pytest.approx(valid[0])


def test_customer_360_is_as_the_town_is(warehouse: Warehouse) -> None:
    found = {
        row[0]: row[1:]
        for row in warehouse.rows(
            """
            select customer_id, n_source_records, n_active_accounts, arrears_usd, days_past_due,
                is_medical, is_vulnerable, has_open_dispute, has_active_plan,
                is_deceased, is_bankrupt, is_do_not_contact, has_ended
            from unified.customer_360
            """
        )
    }
    no = False
    zero, hundred, two_hundred = Decimal("0.00"), Decimal("100.00"), Decimal("200.00")
    assert found == {
        customer_id(1): (2, 1, zero, 0, no, no, no, no, no, no, no, no),
        customer_id(2): (3, 1, hundred, 40, no, no, no, no, no, no, no, no),
        customer_id(3): (2, 1, two_hundred, 70, True, no, no, no, no, no, no, no),
        customer_id(4): (1, 1, two_hundred, 70, no, no, True, no, no, no, no, no),
        customer_id(5): (1, 0, zero, 0, no, no, no, no, no, no, no, True),
        customer_id(6): (1, 1, zero, 0, no, no, no, True, no, no, no, no),
        customer_id(7): (1, 1, zero, 0, no, no, no, no, True, no, no, no),
        customer_id(8): (1, 1, zero, 0, no, no, no, no, no, True, no, no),
        customer_id(9): (1, 1, zero, 0, no, no, no, no, no, no, True, no),
        customer_id(99): (1, 0, zero, 0, no, no, no, no, no, no, no, no),
    }


def test_best_values_survive(warehouse: Warehouse) -> None:
    found = warehouse.rows(
        f"""
        select primary_phone_e164, email, language, contact_ids from unified.customer_360
        where customer_id in ('{customer_id(1)}', '{customer_id(2)}') order by customer_id
        """
    )
    assert found == [
        ("+16085550101", "ann.archer@example.com", "es", contact_id(1)),
        # The number of the later extract, not of the first nor of the CRM; both contacts are his.
        ("+16085550199", "bob.baker@example.com", "en", f"{contact_id(2)},{contact_id(3)}"),
    ]


def test_use_belongs_to_who_lived_there(warehouse: Warehouse) -> None:
    found = dict(
        warehouse.rows(
            f"""
            select customer_id, usage_30d_kwh from unified.customer_360
            where customer_id in ('{customer_id(5)}', '{customer_id(6)}')
            """
        )
    )
    (whole,) = warehouse.rows(
        f"""
        select sum(import_kwh) from unified.fct_usage_daily where service_point_id = '{service_point(5)}'
        and usage_date > '2026-10-16' and usage_date <> '{town.MOVED_OUT}'
        """
    )
    assert found[customer_id(5)] + found[customer_id(6)] == whole[0]
    assert min(found.values()) > 0


def test_late_and_returned_payments_are_seen(warehouse: Warehouse) -> None:
    assert warehouse.rows(
        f"""
        select customer_id, late_bills_12m, returned_payments_12m, bills_12m from unified.customer_360
        where customer_id in ('{customer_id(1)}', '{customer_id(2)}', '{customer_id(3)}') order by 1
        """
    ) == [(customer_id(1), 1, 1, 10), (customer_id(2), 11, 0, 11), (customer_id(3), 2, 0, 11)]


def test_deleted_contact_is_gone(warehouse: Warehouse) -> None:
    ids = {row[0] for row in warehouse.rows("select contact_id from staging.stg_crm__contact")}
    assert ids == {contact_id(n) for n in range(1, 6)}


def test_identity_records_are_comparable(warehouse: Warehouse) -> None:
    found = {
        row[0]: row[1:]
        for row in warehouse.rows(
            "select record_id, name_kind, full_name, phone_e164, email, address_line, postcode, account_no "
            "from unified.int_identity_records"
        )
    }
    assert found["cis:0000000001"] == (
        "P",
        "ann archer",
        "+16085550101",
        "ann.archer@example.com",
        "1 MILL ST",
        "53999",
        account_no(1),
    )
    assert found["cis:0000000009"][:3] == ("B", "ivy bakery llc", "+16085550109")
    assert found[f"crm:{contact_id(2)}"] == (
        "P",
        "robert baker",
        "+16085550102",
        None,
        None,
        None,
        account_no(2),
    )
    assert found[f"crm:{contact_id(3)}"][:3] == ("P", "baker bob", None)  # seven digits are no number


def test_merged_ids_resolve(warehouse: Warehouse) -> None:
    assert warehouse.rows("select customer_id from unified.fct_call where call_id = 'D3'") == [
        (customer_id(1),)
    ]
    assert warehouse.rows(
        "select count(*) from unified.customer_360 where customer_id = 'C0000000000ff'"
    ) == [(0,)]


def test_consent_of_the_strictest_contact_holds(warehouse: Warehouse) -> None:
    assert warehouse.rows(
        f"""
        select consent_marketing_email, consent_collections_phone, consent_profiling_interval
        from unified.customer_360
        where customer_id in ('{customer_id(1)}', '{customer_id(2)}', '{customer_id(3)}') order by customer_id
        """
    ) == [(True, True, True), (False, True, False), (False, True, False)]


def test_each_row_is_sendable_or_says_why_not(warehouse: Warehouse) -> None:
    def reasons(model: str) -> dict[str, str | None]:
        return dict(warehouse.rows(f"select customer_id, withheld_reason from push.{model}"))

    assert reasons("push_letters") == {
        customer_id(2): None,
        customer_id(3): "priority_customer",
        customer_id(4): "open_dispute",
        customer_id(6): "active_plan",
    }
    assert reasons("push_dialer_call_list") == {
        customer_id(2): None,
        customer_id(3): None,  # an offer of help, by consent, also to who needs care
        customer_id(8): "bankruptcy",
        customer_id(9): "do_not_contact",
    }
    assert reasons("push_campaign_audience") == {customer_id(1): None, customer_id(7): "deceased"}
    assert reasons("push_crm_customer_score")[customer_id(5)] == "ineligible"


def test_letter_is_about_the_oldest_open_bill(warehouse: Warehouse) -> None:
    assert warehouse.rows(
        f"select letter_id, bill_id, amount_due_usd, due_date from push.push_letters "
        f"where customer_id = '{customer_id(4)}'"
    ) == [
        (
            f"{customer_id(4)}-000000000410-letter_reminder",
            "000000000410",
            Decimal("100.00"),
            town.due_date(10),
        )
    ]


def test_load_shape_leaves_by_consent_only(warehouse: Warehouse) -> None:
    assert warehouse.rows(
        "select customer_id from push.push_crm_customer_score where load_shape_segment is not null"
    ) == [(customer_id(1),)]


def test_only_the_newest_scores_are_read(warehouse: Warehouse) -> None:
    assert warehouse.rows(
        "select distinct value_band from push.push_crm_customer_score where value_band is not null"
    ) == [("B",)]


@pytest.mark.parametrize("forbidden", ["p_home", "p_contact", "score", "occupancy"])
def test_no_likelihood_leaves(warehouse: Warehouse, forbidden: str) -> None:
    columns = warehouse.rows("select column_name from information_schema.columns where table_schema = 'push'")
    assert len(columns) > 50
    assert forbidden not in {name for (name,) in columns}

"""The tables of the two PostgreSQL systems: the collections ledger and the legacy CRM.

Belongs here: their definition and how they are created. Does not belong here: rows (see postgres.py).
"""

from __future__ import annotations

from sqlalchemy import Engine, text

COLLECTIONS_DDL = """
create schema if not exists collections;
create table if not exists collections.invoice (
    invoice_id bigint primary key, account_no text not null, bill_no text not null,
    issued_date date not null, due_date date not null, amount_usd numeric(12,2) not null,
    open_usd numeric(12,2) not null,
    status text not null check (status in ('open', 'paid', 'disputed', 'written_off')),
    updated_at timestamptz not null);
create table if not exists collections.payment (
    payment_id bigint primary key, account_no text not null, invoice_id bigint not null,
    received_at timestamptz not null, amount_usd numeric(12,2) not null, method text not null,
    status text not null check (status in ('posted', 'returned')), updated_at timestamptz not null);
create table if not exists collections.dispute (
    dispute_id bigint primary key, account_no text not null, invoice_id bigint,
    opened_at timestamptz not null, closed_at timestamptz, reason text not null,
    status text not null check (status in ('open', 'upheld', 'rejected')),
    updated_at timestamptz not null);
create table if not exists collections.payment_plan (
    plan_id bigint primary key, account_no text not null, started_date date not null,
    instalments int not null, instalment_usd numeric(12,2) not null,
    status text not null check (status in ('active', 'kept', 'broken')),
    updated_at timestamptz not null);
create table if not exists collections.account_flag (
    account_no text not null, flag text not null
        check (flag in ('medical', 'vulnerable', 'deceased', 'bankruptcy', 'do_not_contact')),
    from_date date not null, to_date date, updated_at timestamptz not null, primary key (account_no, flag));
"""

CRM_DDL = """
create schema if not exists crm;
create schema if not exists crm_inbox;
create table if not exists crm.contact (
    contact_id text primary key, full_name text not null, given_name text, surname text, email text,
    phone text, address_line text, city text, postcode text, account_no text, birth_date date,
    created_at timestamptz not null, updated_at timestamptz not null);
create table if not exists crm.consent (
    consent_id bigint primary key, contact_id text not null,
    purpose text not null check (purpose in ('marketing', 'service', 'collections', 'profiling')),
    channel text not null check (channel in ('phone', 'email', 'letter', 'sms', 'any')),
    granularity text not null check (granularity in ('billing', 'interval')), is_granted boolean not null,
    captured_at timestamptz not null, source text not null, updated_at timestamptz not null);
create table if not exists crm.preference (
    contact_id text primary key, language text not null, preferred_channel text not null,
    preferred_slot text not null check (preferred_slot in ('morning', 'afternoon', 'evening', 'none')),
    is_do_not_call boolean not null, updated_at timestamptz not null);
create table if not exists crm.interaction (
    interaction_id bigint primary key, contact_id text not null, account_no text,
    started_at timestamptz not null,
    channel text not null check (channel in ('phone_in', 'email_in', 'web', 'phone_out')),
    topic text not null check (topic in ('billing', 'outage', 'payment', 'move', 'complaint', 'tariff')),
    duration_seconds int not null, agent_id text not null, is_resolved boolean not null,
    updated_at timestamptz not null);
create table if not exists crm.campaign (
    campaign_id text primary key, name text not null, offer_id text not null,
    channel text not null check (channel in ('email', 'phone', 'letter')), purpose text not null,
    starts_date date not null, ends_date date not null, treatment_share numeric(5,4) not null,
    updated_at timestamptz not null);
create table if not exists crm.campaign_assignment (
    campaign_id text not null, contact_id text not null,
    arm text not null check (arm in ('treatment', 'control')),
    assignment_probability numeric(5,4) not null, assigned_at timestamptz not null, responded_at timestamptz,
    response_value_usd numeric(10,2), updated_at timestamptz not null, primary key (campaign_id, contact_id));
"""

TABLES: dict[str, tuple[str, ...]] = {
    "collections": ("invoice", "payment", "dispute", "payment_plan", "account_flag"),
    "crm": ("contact", "consent", "preference", "interaction", "campaign", "campaign_assignment"),
}
"""Tables by database; the schema bears the database's name."""


def create(database: str, engine: Engine) -> None:
    """Create the schemas, tables and cursor indices of one database, where they are missing."""
    with engine.begin() as connection:
        connection.execute(text(COLLECTIONS_DDL if database == "collections" else CRM_DDL))
        for table in TABLES[database]:
            connection.execute(
                text(f"create index if not exists {table}_updated_at_idx on {database}.{table} (updated_at)")
            )
        connection.execute(
            text(
                "create table if not exists public.world_generation "
                "(fingerprint text primary key, loaded_at timestamptz default now())"
            )
        )

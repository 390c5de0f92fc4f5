"""The CRM's inbox: the tables that its agents' desktop shows, and that GridCRM may write.

Belongs here: their definition. Does not belong here: the CRM's own tables, which ``demo.world`` makes.
"""

from __future__ import annotations

DDL = """
create schema if not exists crm_inbox;
create table if not exists crm_inbox.customer_score (
    customer_id text primary key, account_no text, contact_ids text, as_of_date date not null,
    value_band text, clv_12m_usd numeric(12,2), clv_60m_usd numeric(12,2), lifecycle_stage text,
    value_segment text, load_shape_segment text, payment_segment text, next_action_id text,
    next_action_channel text, next_action_reason text, is_priority boolean, has_open_dispute boolean,
    model_version text, updated_at timestamptz not null default now());
create table if not exists crm_inbox.inbound_card (
    lookup_key text primary key, customer_id text not null, card jsonb not null, as_of_date date not null,
    updated_at timestamptz not null default now());
create table if not exists crm_inbox.next_best_action (
    action_key text primary key, customer_id text not null, action_id text not null, channel text,
    send_window text, tone text, content_id text, reason text, as_of_date date not null,
    updated_at timestamptz not null default now());
create table if not exists crm_inbox.account_alert (
    alert_key text primary key, account_no text not null, alert text not null, since_date date not null,
    amount_usd numeric(12,2), updated_at timestamptz not null default now());
create index if not exists account_alert_account_no_idx on crm_inbox.account_alert (account_no);
"""

"""The warehouse: dbt's models, and the identity step that stands between staging and unified."""

"""Where the extension's function is. Anybody who may create a schema may put one of that name on a search_path."""

from __future__ import annotations

from typing import Final

HOME: Final = """(
    SELECT n.oid, pg_catalog.quote_ident(n.nspname) AS name,
           pg_catalog.to_regprocedure(pg_catalog.quote_ident(n.nspname)
                                      OPERATOR(pg_catalog.||) '.litellm_record_spend(pg_catalog.jsonb,pg_catalog.text)')
           AS recorder
    FROM pg_catalog.pg_extension AS e
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace
    WHERE e.extname OPERATOR(pg_catalog.=) 'litellm_spend')"""
"""A subquery for SQL: the extension's schema, its quoted name and its function. No row if the extension is missing."""

FOUND_AND_ALLOWED: Final = """home.recorder IS NOT NULL AS found,
       pg_catalog.has_function_privilege(home.recorder::oid, 'EXECUTE') IS TRUE
       AND pg_catalog.has_schema_privilege(home.oid, 'USAGE') IS TRUE AS allowed"""
"""Two columns beside `HOME AS home`: whether the function is there, and whether the role may call it."""

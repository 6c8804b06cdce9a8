//! Tests inside Postgres.

mod jsonb;
mod records;

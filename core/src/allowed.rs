//! The part of a spend record that may be stored: the fields of the allow list, within the bounds of one record.

pub mod bounds;
pub mod fields;
pub mod request_body;
pub mod sanitise;
pub mod unchanged;
pub mod url;

//! What the tests share, each a part of it; the fuzz targets (fuzz/) include the same files.
#![allow(dead_code)]

pub mod container;
pub mod documents;
pub mod reading;
pub mod sensitive;
pub mod storing;

//! Code that the tests share; each test uses a part of it. The fuzz targets (fuzz/) include the same files.
#![allow(dead_code)]

pub mod container;
pub mod documents;
pub mod reading;
pub mod sensitive;
pub mod storing;

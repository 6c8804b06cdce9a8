//! Keeps the section of the library in which pgrx declares the SQL objects, which a linker would drop as unused:
//! `cargo pgrx schema` reads it. As a flag of this one library it leaves the dependencies alone, which cargo would
//! else build twice.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let os = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    // The linkers of macOS and Windows do not know the option and do not need it.
    if os != "macos" && os != "windows" {
        println!("cargo::rustc-link-arg-cdylib=-Wl,--no-gc-sections");
    }
}

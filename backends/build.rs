//! Links `clefc-backend` at a fixed address: LLVM's tables hold 200,000 addresses, and writing them at each start took
//! more time than making SPIR-V for a small kernel. The program reads what `clefc` gives it and nothing else, so a
//! random address protects little.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}

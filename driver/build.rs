//! Compiles the kernel module's ring code for user space, where it is tested against the
//! daemon's side.

fn main() {
    println!("cargo::rerun-if-changed=kernel");
    cc::Build::new()
        .file("kernel/host.c")
        .opt_level(2)
        .flag("-Wextra")
        .warnings_into_errors(true)
        .compile("rmt_ring");
}

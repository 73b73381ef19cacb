//! Approvals as types.

/// SG-79. The `.stderr` beside each is what the compiler says; `TRYBUILD=overwrite` writes them anew.
#[test]
fn what_needs_an_approval_does_not_compile_without_its_own() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

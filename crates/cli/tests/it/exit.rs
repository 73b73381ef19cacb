use dormouse_cli::exit::{Exit, TABLE};
use dormouse_cli::problem::{Code, Problem};
use dormouse_engine::outcome::Exit as WorkerExit;

/// The table of program.md, section 4, HTTP column.
#[test]
fn a_status_means_what_the_table_says() {
    let table: &[(u8, &[u16])] = &[
        (0, &[200, 201, 202, 204, 304]),
        (1, &[500]),
        (2, &[400, 405, 413, 415, 416, 422, 428, 431]),
        (3, &[404, 410]),
        (4, &[401, 403, 423]),
        (6, &[503]),
        (7, &[409, 412]),
        (8, &[504]),
        (9, &[429]),
    ];
    for (exit, statuses) in table {
        for status in *statuses {
            assert_eq!(Exit::of_status(*status, "").code(), *exit, "{status}");
        }
    }
    assert_eq!(Exit::of_status(409, "needs_approval").code(), 5);
}

#[test]
fn a_worker_gives_its_code_or_its_signal_or_is_unknown() {
    let exit = |code, signal| WorkerExit {
        code,
        signal,
        by_us: false,
        oom: false,
    };
    for (code, signal, expected) in [
        (Some(0), None, 0),
        (Some(3), None, 3),
        (None, Some(9), 137),
        (None, Some(15), 143),
        (None, None, 12),
    ] {
        assert_eq!(Exit::of_worker(Some(&exit(code, signal))).code(), expected);
    }
    assert_eq!(Exit::of_worker(None).code(), 12);
}

#[test]
fn every_code_is_in_the_table_once_and_in_order() {
    let codes: Vec<u8> = TABLE.iter().map(|(exit, _)| exit.code()).collect();
    assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 124, 130]);
}

#[test]
fn a_problem_exits_by_its_status() {
    for (code, exit) in [
        (Code::Usage, 2),
        (Code::Config, 2),
        (Code::NotFound, 3),
        (Code::Forbidden, 4),
        (Code::Unauthorized, 4),
        (Code::NeedsApproval, 5),
        (Code::Unavailable, 6),
        (Code::State, 7),
        (Code::Exists, 7),
        (Code::Stale, 7),
        (Code::Unknown, 8),
        (Code::Limit, 9),
        (Code::TooNew, 1),
    ] {
        assert_eq!(Problem::new(code, "").exit().code(), exit, "{code:?}");
    }
}

#[test]
fn a_problem_document_has_the_fields_of_the_api_and_no_empty_ones() {
    let problem = Problem::new(Code::NotFound, "there is no task tsk_1").hint("see dormouse task list");
    let document = serde_json::to_value(&problem).unwrap();
    assert_eq!(
        document,
        serde_json::json!({
            "type": "urn:dormouse:problem:not_found",
            "title": "not found",
            "status": 404,
            "code": "not_found",
            "detail": "there is no task tsk_1",
            "hint": "see dormouse task list",
        })
    );
}

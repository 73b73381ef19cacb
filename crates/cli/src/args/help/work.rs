//! What works: runs, tasks, gates.

use super::{COMMON, LIST};

pages! {
    run &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 124, 130] =>
        "dormouse run --agent alice -- claude -p \"fix the failing test\"",
        "dormouse run --agent alice --on-gate wait -- sh -c 'dormouse gate request --action deploy && ./deploy'",
        "dormouse run tsk_0198c0de7f3a7c11a2b3c4d5e6f70819";
    serve &[0, 1, 2, 4, 6, 7] =>
        "dormouse serve",
        "dormouse serve --drain 5m --runs 8",
        "DORMOUSE_STORE_URL=postgres://dormouse@db/agents dormouse serve";
    task COMMON =>
        "dormouse task add --agent alice -- make check",
        "dormouse task list --agent alice --state ready",
        "dormouse task retry 12";
    task_add COMMON =>
        "dormouse task add --agent alice -- make check",
        "dormouse task add --agent alice --title nightly --after 12 --in 2h --key nightly-7 -- ./nightly.sh",
        "dormouse task add --agent alice --title \"count the sheep\" --prompt @sheep.md --approval";
    task_list LIST =>
        "dormouse task list",
        "dormouse task list --agent alice --state ready",
        "dormouse task list --all -o jsonl";
    task_show COMMON =>
        "dormouse task show 12",
        "dormouse task show tsk_0198c0de",
        "dormouse task show 12 -o json";
    task_wait &[0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 124, 130] =>
        "dormouse task wait 12",
        "dormouse task wait 12 13 14 && ./publish",
        "dormouse task wait tsk_0198c0de -o json";
    task_approve COMMON =>
        "dormouse task approve 12",
        "dormouse task approve tsk_0198c0de",
        "dormouse task approve 12 -o json";
    task_refuse COMMON =>
        "dormouse task refuse 12",
        "dormouse task refuse tsk_0198c0de",
        "dormouse task refuse 12 -o json";
    task_cancel COMMON =>
        "dormouse task cancel 12",
        "dormouse task cancel --kill tsk_0198c0de",
        "dormouse task cancel 12 -o json";
    task_retry COMMON =>
        "dormouse task retry 12",
        "dormouse task retry --fresh tsk_0198c0de && dormouse run tsk_0198c0de",
        "dormouse task retry 12 -o json";
    task_set COMMON =>
        "dormouse task set 12 --priority high --title \"count the sheep\"",
        "dormouse task set 12 --metadata ticket=17 --metadata label=",
        "dormouse task set 12 --agent bob";
    task_shelve COMMON =>
        "dormouse task shelve 12",
        "dormouse task shelve tsk_0198c0de",
        "dormouse task shelve 12 -o json";
    task_enqueue COMMON =>
        "dormouse task enqueue 12",
        "dormouse task enqueue tsk_0198c0de",
        "dormouse task enqueue 12 -o json";
    task_delete COMMON =>
        "dormouse task delete 12",
        "dormouse task delete 12 --yes",
        "dormouse task cancel 12 && dormouse task delete 12 --yes";
    delegate &[0, 1, 2, 3, 4, 6, 7, 9, 10, 11, 12, 124, 130] =>
        "dormouse delegate bob --title \"count the sheep\" --prompt @sheep.md",
        "dormouse delegate bob --title \"count the sheep\" --wait > count.txt",
        "dormouse delegate --result 12";
    runs COMMON =>
        "dormouse runs list",
        "dormouse runs show run_0198c0de",
        "dormouse runs logs -f run_0198c0de";
    runs_list LIST =>
        "dormouse runs list",
        "dormouse runs list --agent alice --limit 10",
        "dormouse runs list --all -o jsonl";
    runs_show COMMON =>
        "dormouse runs show run_0198c0de7f3a7c11a2b3c4d5e6f70819",
        "dormouse runs show run_0198c0de",
        "dormouse runs show run_0198c0de -o json";
    runs_logs COMMON =>
        "dormouse runs logs run_0198c0de7f3a7c11a2b3c4d5e6f70819",
        "dormouse runs logs -f run_0198c0de",
        "dormouse runs logs --raw run_0198c0de > output.bin";
    runs_send COMMON =>
        "dormouse runs send run_0198c0de7f3a7c11a2b3c4d5e6f70819 \"and the tests too\"",
        "dormouse runs send run_0198c0de continue",
        "cat more.md | dormouse runs send run_0198c0de -";
    gate COMMON =>
        "dormouse gate list",
        "dormouse gate show gat_0198c0de",
        "dormouse gate approve gat_0198c0de --comment \"looks right\"";
    gate_request &[0, 2, 4, 6, 7, 9, 124, 130] =>
        "dormouse gate request --action publish --input '{\"file\":\"report.md\"}' && ./publish",
        "draft=$(dormouse gate request --type question --action which? --option a --option b)",
        "dormouse gate request --type notification --action \"the disk is almost full\"";
    step &[0, 1, 2, 4, 6, 7, 9] =>
        "dormouse step fetch -- curl -fsS https://example.org/list.json > list.json",
        "dormouse step pay --effect external --input '{\"invoice\":7}' --not-done-code 6 -- ./pay 7",
        "dormouse step mail --key \"$address\" --effect idempotent -- sh -c './mail --id \"$DORMOUSE_STEP_KEY\"'";
    gate_list LIST =>
        "dormouse gate list",
        "dormouse gate list --agent alice --state all",
        "dormouse gate list -o jsonl > shown.jsonl";
    gate_show COMMON =>
        "dormouse gate show gat_0198c0de7f3a7c11a2b3c4d5e6f70819",
        "dormouse gate show gat_0198c0de",
        "dormouse gate show gat_0198c0de -o json";
    gate_approve COMMON =>
        "dormouse gate approve gat_0198c0de --comment \"looks right\"",
        "dormouse gate approve gat_0198c0de --input '{\"file\":\"draft.md\"}'",
        "dormouse gate approve --all-shown shown.jsonl";
    gate_reject COMMON =>
        "dormouse gate reject gat_0198c0de --comment \"not on a Friday\"",
        "dormouse gate list -o jsonl | dormouse gate reject --all-shown -",
        "dormouse gate reject --all-shown";
    gate_answer COMMON =>
        "dormouse gate answer gat_0198c0de \"the second draft\"",
        "dormouse gate answer gat_0198c0de --option 2",
        "dormouse gate answer gat_0198c0de";
    gate_discard COMMON =>
        "dormouse gate discard gat_0198c0de7f3a7c11a2b3c4d5e6f70819",
        "dormouse gate discard gat_0198c0de",
        "dormouse gate discard gat_0198c0de --yes";
    gate_grants LIST =>
        "dormouse gate grants",
        "dormouse gate grants --session ses_0198c0de",
        "dormouse gate grants --all -o jsonl";
    gate_revoke COMMON =>
        "dormouse gate revoke gat_0198c0de7f3a7c11a2b3c4d5e6f70819",
        "dormouse gate revoke gat_0198c0de",
        "dormouse gate revoke gat_0198c0de && dormouse gate grants";
}

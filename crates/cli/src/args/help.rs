//! Examples and exit codes: what `--help` says behind the flags.

use crate::exit;

/// Three examples and the exit codes a command can end with.
fn after(examples: [&str; 3], codes: &[u8]) -> String {
    let mut text = String::from("Examples:\n");
    for example in examples {
        text.push_str(&format!("  {example}\n"));
    }
    text.push_str("\nExit codes:\n");
    text.push_str(&table(|code| codes.contains(&code)));
    text.truncate(text.trim_end().len());
    text
}

pub(super) fn table(is_shown: impl Fn(u8) -> bool) -> String {
    let rows = exit::TABLE.iter().filter(|(exit, _)| is_shown(exit.code()));
    rows.map(|(exit, meaning)| format!("  {:>3}  {meaning}\n", exit.code()))
        .collect()
}

/// Every command that speaks to a store.
const COMMON: &[u8] = &[0, 1, 2, 3, 4, 6, 7, 8, 9];
/// A list or a stream of what is there.
const LIST: &[u8] = &[0, 1, 2, 4, 6];
/// A command that speaks to the endpoint of its run.
const INSIDE: &[u8] = &[0, 2, 3, 4, 6, 7, 9];
/// A command that needs no store.
const LOCAL: &[u8] = &[0, 2];

macro_rules! pages {
    ($($name:ident $codes:expr => $first:literal, $second:literal, $third:literal;)*) => {$(
        pub(super) fn $name() -> String {
            after([$first, $second, $third], $codes)
        }
    )*};
}

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
    budget COMMON =>
        "dormouse budget set alice --usd 1.00 --period day",
        "dormouse budget show alice",
        "dormouse budget history alice";
    budget_show COMMON =>
        "dormouse budget show",
        "dormouse budget show alice",
        "dormouse budget show --tenant-wide -o json";
    budget_set COMMON =>
        "dormouse budget set alice --usd 1.00 --period day --zone Europe/Berlin",
        "dormouse budget set --tenant-wide --usd 50 --pause 100% --period month",
        "dormouse budget set alice --tokens 200000 --period run --concurrency none";
    budget_history COMMON =>
        "dormouse budget history alice",
        "dormouse budget history --tenant-wide --limit 7",
        "dormouse budget history alice --all -o jsonl";
    usage INSIDE =>
        "hold=$(dormouse usage reserve --usd 0.10) && ./ask-model",
        "dormouse usage report hld_0198c0de7f3a7c11a2b3c4d5e6f70819 --usd 0.04",
        "dormouse usage reconcile hld_0198c0de7f3a7c11a2b3c4d5e6f70819 --usd 0.07";
    usage_reserve INSIDE =>
        "hold=$(dormouse usage reserve --usd 0.10) && ./ask-model",
        "hold=$(dormouse usage reserve --input-tokens 8000 --output-tokens 1000)",
        "dormouse usage reserve --usd 0.10 -o json";
    usage_grow INSIDE =>
        "dormouse usage grow hld_0198c0de7f3a7c11a2b3c4d5e6f70819 --usd 0.05",
        "dormouse usage grow hld_0198c0de7f3a7c11a2b3c4d5e6f70819 --output-tokens 500",
        "dormouse usage grow hld_0198c0de7f3a7c11a2b3c4d5e6f70819 --usd 0.05 || exit 1";
    usage_report INSIDE =>
        "dormouse usage report hld_0198c0de7f3a7c11a2b3c4d5e6f70819 --usd 0.04",
        "dormouse usage report hld_0198c0de7f3a7c11a2b3c4d5e6f70819 --output-tokens 700",
        "test \"$(dormouse usage report \"$hold\" --usd 0.04)\" != stop";
    usage_reconcile INSIDE =>
        "dormouse usage reconcile hld_0198c0de7f3a7c11a2b3c4d5e6f70819 --usd 0.07",
        "dormouse usage reconcile hld_0198c0de7f3a7c11a2b3c4d5e6f70819 --input-tokens 7312 --output-tokens 640",
        "dormouse usage reconcile hld_0198c0de7f3a7c11a2b3c4d5e6f70819 --usd 0";
    usage_release INSIDE =>
        "dormouse usage release hld_0198c0de7f3a7c11a2b3c4d5e6f70819",
        "./ask-model || dormouse usage release \"$hold\"",
        "trap 'dormouse usage release \"$hold\"' EXIT";
    session COMMON =>
        "dormouse session list",
        "dormouse session show ses_0198c0de",
        "dormouse session end ses_0198c0de";
    session_list LIST =>
        "dormouse session list",
        "dormouse session list --agent alice",
        "dormouse session list --all -o jsonl";
    session_show COMMON =>
        "dormouse session show ses_0198c0de7f3a7c11a2b3c4d5e6f70819",
        "dormouse session show ses_0198c0de",
        "dormouse session show ses_0198c0de -o json";
    session_end COMMON =>
        "dormouse session end ses_0198c0de7f3a7c11a2b3c4d5e6f70819",
        "dormouse session end ses_0198c0de",
        "dormouse session end ses_0198c0de -o json";
    session_reopen COMMON =>
        "dormouse session reopen ses_0198c0de7f3a7c11a2b3c4d5e6f70819",
        "dormouse session reopen ses_0198c0de",
        "dormouse session reopen ses_0198c0de -o json";
    session_set COMMON =>
        "dormouse session set ses_0198c0de mode=deny",
        "dormouse session set ses_0198c0de mode=rules",
        "dormouse session set ses_0198c0de mode=ask -o json";
    thread COMMON =>
        "dormouse thread add --agent alice",
        "dormouse thread post thr_0198c0de \"what is left to do?\" -- ./answer",
        "dormouse thread show thr_0198c0de";
    thread_add COMMON =>
        "dormouse thread add --agent alice",
        "dormouse thread add --agent alice --key chat-42",
        "dormouse thread add --agent alice -o json";
    thread_list LIST =>
        "dormouse thread list",
        "dormouse thread list --agent alice",
        "dormouse thread list --all -o jsonl";
    thread_show COMMON =>
        "dormouse thread show thr_0198c0de7f3a7c11a2b3c4d5e6f70819",
        "dormouse thread show thr_0198c0de --last 50",
        "dormouse thread show thr_0198c0de -o json";
    thread_post COMMON =>
        "dormouse thread post thr_0198c0de \"what is left to do?\" -- ./answer",
        "git diff | dormouse thread post thr_0198c0de - --key review-17 -- ./review",
        "dormouse thread post thr_0198c0de \"now\" --when-busy refuse -- ./answer";
    thread_export COMMON =>
        "dormouse thread export thr_0198c0de > thread.jsonl",
        "dormouse thread export thr_0198c0de | jq -r .text",
        "dormouse thread export thr_0198c0de7f3a7c11a2b3c4d5e6f70819";
    thread_redact COMMON =>
        "dormouse thread redact thr_0198c0de 7",
        "dormouse thread redact thr_0198c0de 7 --yes",
        "dormouse thread redact thr_0198c0de msg_0198c0de7f3a7c11a2b3c4d5e6f70819 --yes";
    thread_close COMMON =>
        "dormouse thread close thr_0198c0de7f3a7c11a2b3c4d5e6f70819",
        "dormouse thread close thr_0198c0de",
        "dormouse thread close thr_0198c0de -o json";
    thread_delete COMMON =>
        "dormouse thread delete thr_0198c0de7f3a7c11a2b3c4d5e6f70819",
        "dormouse thread delete thr_0198c0de --yes",
        "dormouse thread export thr_0198c0de > kept.jsonl && dormouse thread delete thr_0198c0de --yes";
    secret COMMON =>
        "printf %s \"$TOKEN\" | dormouse secret set GH_TOKEN --agent alice",
        "dormouse secret list",
        "dormouse secret doctor";
    secret_set COMMON =>
        "dormouse secret set GH_TOKEN --agent alice",
        "printf %s \"$TOKEN\" | dormouse secret set GH_TOKEN --agent alice",
        "cat deploy.pem | dormouse secret set DEPLOY_KEY --shared --keep-newline";
    secret_list LIST =>
        "dormouse secret list",
        "dormouse secret list --agent alice",
        "dormouse secret list --all -o jsonl";
    secret_show COMMON =>
        "dormouse secret show GH_TOKEN --agent alice",
        "dormouse secret show DEPLOY_KEY --shared",
        "dormouse secret show GH_TOKEN --agent alice -o json";
    secret_effective LIST =>
        "dormouse secret effective --agent alice",
        "dormouse secret effective --agent alice -o json",
        "dormouse secret effective --agent alice -o jsonl";
    secret_delete COMMON =>
        "dormouse secret delete GH_TOKEN --agent alice",
        "dormouse secret delete DEPLOY_KEY --shared --yes",
        "dormouse secret delete DEPLOY_KEY --shared --force --yes";
    secret_status COMMON =>
        "dormouse secret status",
        "dormouse secret status -o json",
        "dormouse secret status --tenant team-1";
    secret_unlock COMMON =>
        "dormouse secret unlock",
        "dormouse secret unlock --key-file /mnt/usb/secrets.key",
        "dormouse secret unlock --passphrase --restore-key-file";
    secret_lock COMMON =>
        "dormouse secret lock",
        "dormouse secret lock -o json",
        "dormouse secret lock && dormouse secret status";
    secret_rotate COMMON =>
        "dormouse secret rotate",
        "dormouse secret rotate -o json",
        "dormouse secret rotate && dormouse secret slots";
    secret_rekey COMMON =>
        "dormouse secret rekey",
        "dormouse secret rekey --passphrase",
        "dormouse secret rekey && dormouse secret slots";
    secret_slots LIST =>
        "dormouse secret slots",
        "dormouse secret slots -o json",
        "dormouse secret slots add --passphrase";
    secret_slots_add COMMON =>
        "dormouse secret slots add --passphrase",
        "cat passphrase | dormouse secret slots add --passphrase",
        "dormouse secret slots add --key-file /mnt/usb/secrets.key";
    secret_slots_remove COMMON =>
        "dormouse secret slots remove 2",
        "dormouse secret slots remove 2 --yes",
        "dormouse secret slots && dormouse secret slots remove 1";
    secret_export COMMON =>
        "dormouse secret export secrets.age --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
        "dormouse secret export secrets.age --passphrase",
        "cat passphrase | dormouse secret export secrets.age --passphrase";
    secret_import COMMON =>
        "dormouse secret import secrets.age --identity key.txt",
        "dormouse secret import secrets.age --passphrase",
        "dormouse secret import secrets.age --identity key.txt --overwrite";
    secret_doctor COMMON =>
        "dormouse secret doctor",
        "dormouse secret doctor -o json",
        "dormouse secret doctor || dormouse secret slots";
    agent_set COMMON =>
        "dormouse agent set alice secrets=GH_TOKEN,NPM_TOKEN",
        "dormouse agent set alice concurrency=2 delegates_to=bob,carol",
        "dormouse agent set alice effects=repeatable scrub.formats=own_only secrets=";
    agent_pause COMMON =>
        "dormouse agent pause alice",
        "dormouse agent pause alice --stop-runs",
        "dormouse agent pause alice --reason 'the provider is down'";
    agent_resume COMMON =>
        "dormouse agent resume alice",
        "dormouse agent resume alice -o json",
        "dormouse agent resume alice --tenant team-1";
    agent_remove COMMON =>
        "dormouse agent remove alice",
        "dormouse agent remove alice --force --yes",
        "dormouse agent remove alice --yes -o json";
    agent COMMON =>
        "dormouse agent add alice",
        "dormouse agent pause alice",
        "dormouse agent remove alice";
    agent_add COMMON =>
        "dormouse agent add alice",
        "dormouse agent add alice concurrency=2",
        "dormouse agent add alice -o json";
    agent_list LIST =>
        "dormouse agent list",
        "dormouse agent list --limit 10",
        "dormouse agent list --all -o jsonl";
    agent_show COMMON =>
        "dormouse agent show alice",
        "dormouse agent show alice --time iso",
        "dormouse agent show alice -o json";
    events COMMON =>
        "dormouse events tail",
        "dormouse events tail -f --type 'run.*' --agent alice",
        "dormouse events replay --from 0 -o jsonl";
    events_tail LIST =>
        "dormouse events tail",
        "dormouse events tail -f --type 'run.*'",
        "dormouse events tail --from 0 -o jsonl";
    events_replay LIST =>
        "dormouse events replay --from 0",
        "dormouse events replay --from 120 --to 180 --type 'gate.*' -o jsonl",
        "dormouse events replay --from 0 --agent alice -o jsonl > alice.jsonl";
    events_sink COMMON =>
        "DORMOUSE_EVENTS_FILE=/var/log/dormouse.jsonl dormouse run --agent alice -- make check",
        "dormouse events sink list",
        "dormouse events sink resume file";
    events_sink_list LIST =>
        "dormouse events sink list",
        "dormouse events sink list -o json",
        "dormouse events sink list --tenant team-1 -o jsonl";
    events_sink_pause COMMON =>
        "dormouse events sink pause file",
        "dormouse events sink pause file -o json",
        "dormouse events sink pause file --tenant team-1";
    events_sink_resume COMMON =>
        "dormouse events sink resume file",
        "dormouse events sink resume file -o json",
        "dormouse events sink resume file --tenant team-1";
    events_sink_remove COMMON =>
        "dormouse events sink remove file",
        "dormouse events sink remove file -o json",
        "dormouse events sink remove file --tenant team-1";
    config LOCAL =>
        "dormouse config path",
        "dormouse config list --origin",
        "dormouse config validate";
    config_path LOCAL =>
        "dormouse config path",
        "dormouse config path -o json",
        "DORMOUSE_HOME=/srv/dormouse dormouse config path";
    config_list LOCAL =>
        "dormouse config list",
        "dormouse config list --origin",
        "dormouse config list -o json";
    config_validate LOCAL =>
        "dormouse config validate",
        "dormouse config validate --config ./config.toml",
        "dormouse config validate -o json";
    store &[0, 1, 2, 3, 6, 7] =>
        "dormouse store check --repair",
        "dormouse store export store.dormouse",
        "DORMOUSE_STORE_URL=file:/srv/store dormouse store check -o json";
    store_check &[0, 1, 2, 3, 6] =>
        "dormouse store check",
        "dormouse store check --repair",
        "dormouse store check -o json";
    store_export COMMON =>
        "dormouse store export store.dormouse",
        "dormouse store export /backups/monday.dormouse",
        "dormouse store export store.dormouse -o json";
    store_import &[0, 1, 2, 3, 6, 7, 8] =>
        "dormouse store import store.dormouse",
        "dormouse store import store.dormouse --into sled:/srv/dormouse/store",
        "DORMOUSE_STORE_URL=postgres://dormouse@db/agents dormouse store import store.dormouse";
    doctor &[0, 1, 2] =>
        "dormouse doctor",
        "dormouse doctor -o json",
        "dormouse doctor || dormouse config path";
    completions LOCAL =>
        "dormouse completions bash > ~/.local/share/bash-completion/completions/dormouse",
        "dormouse completions zsh > ~/.zfunc/_dormouse",
        "dormouse completions fish > ~/.config/fish/completions/dormouse.fish";
    man LOCAL =>
        "dormouse man > dormouse.1",
        "dormouse man | man -l -",
        "dormouse man | gzip > dormouse.1.gz";
    program LOCAL =>
        "dormouse run --agent alice -- sh -c 'echo hello from alice'",
        "dormouse task list",
        "dormouse events tail --from 0";
}

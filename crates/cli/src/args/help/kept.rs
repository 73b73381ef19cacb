//! What is kept and set: budgets, sessions, threads, secrets, agents, events, settings, the store.

use super::{COMMON, INSIDE, LIST, LOCAL};

pages! {
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
        "dormouse secret unlock --keyring",
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
        "dormouse secret slots add --key-file /mnt/usb/secrets.key",
        "dormouse secret slots add --keyring";
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
    secret_migrate COMMON =>
        "dormouse secret migrate old-secrets.jsonl --dry-run",
        "dormouse secret migrate old-secrets.jsonl",
        "dormouse secret migrate alice.jsonl --agent alice --destroy";
    secret_quarantined LIST =>
        "dormouse secret quarantined",
        "dormouse secret quarantined -o json",
        "dormouse secret quarantined -o jsonl";
    secret_place COMMON =>
        "dormouse secret place 9f86d081884c7d659a2feaa0c55ad015/a3bf4f1b2b0b822cd15d6c15b0f00a08 GH_TOKEN --agent alice",
        "dormouse secret place 9f86d081884c7d659a2feaa0c55ad015/a3bf4f1b2b0b822cd15d6c15b0f00a08 DEPLOY_KEY --shared",
        "dormouse secret quarantined";
    secret_doctor COMMON =>
        "dormouse secret doctor",
        "dormouse secret doctor -o json",
        "dormouse secret doctor || dormouse secret slots";
    agent_set COMMON =>
        "dormouse agent set alice secrets=GH_TOKEN,NPM_TOKEN",
        "dormouse agent set alice concurrency=2 delegates_to=bob,carol",
        "dormouse agent set alice effects=repeatable scrub.formats=own_only mode=dormant";
    agent_pause COMMON =>
        "dormouse agent pause alice",
        "dormouse agent pause alice --stop-runs",
        "dormouse agent pause alice --reason 'the provider is down'";
    agent_resume COMMON =>
        "dormouse agent resume alice",
        "dormouse agent resume alice -o json",
        "dormouse agent resume alice --tenant team-1";
    agent_wake COMMON =>
        "dormouse agent wake alice",
        "dormouse agent wake alice -o json",
        "dormouse agent wake alice --tenant team-1";
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
    wake COMMON =>
        "dormouse wake add --agent alice --in 2h --reason 'look at the mail' -- ./mail.sh",
        "dormouse wake list --agent alice",
        "dormouse wake cancel wak_0198c0de";
    wake_list LIST =>
        "dormouse wake list",
        "dormouse wake list --agent alice",
        "dormouse wake list --all -o jsonl";
    wake_add COMMON =>
        "dormouse wake add --agent alice --in 2h -- make check",
        "dormouse wake add --agent alice --at 2026-03-01T12:00:00Z --reason 'look at the mail' -- ./mail.sh",
        "dormouse wake add --agent alice --in 7d --key weekly-9 --reason 'count the sheep'";
    wake_cancel COMMON =>
        "dormouse wake cancel wak_0198c0de7f3a7c11a2b3c4d5e6f70819",
        "dormouse wake cancel wak_0198c0de",
        "dormouse wake list --agent alice && dormouse wake cancel wak_0198c0de";
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
    config_reload &[0, 2, 4, 6, 8] =>
        "dormouse config validate && dormouse config reload",
        "dormouse config reload -o json",
        "kill -HUP \"$(pidof dormouse)\"";
    store &[0, 1, 2, 3, 6, 7] =>
        "dormouse store check --repair",
        "dormouse store export store.dormouse",
        "DORMOUSE_STORE_URL=file:/srv/store dormouse store check -o json";
    store_check &[0, 1, 2, 3, 6] =>
        "dormouse store check",
        "dormouse store check --repair",
        "dormouse store check -o json";
    store_dead_letters &[0, 1, 2, 3, 6] =>
        "dormouse store dead-letters",
        "dormouse store dead-letters show message/_clk6gbr9dpjmatrfdhmn6or5/1834612345678",
        "dormouse store dead-letters -o jsonl > dead-letters.jsonl";
    store_dead_letters_show &[0, 1, 2, 3, 6] =>
        "dormouse store dead-letters show task/tsk_0198c0de7f3a7c11a2b3c4d5e6f70819/1834612345678",
        "dormouse store dead-letters show task/tsk_0198c0de7f3a7c11a2b3c4d5e6f70819/1834612345678 -o json",
        "dormouse store dead-letters show agent/alice/1834612345678 -o json | jq -r .base64 | base64 -d";
    store_dead_letters_discard &[0, 1, 2, 3, 6, 8] =>
        "dormouse store dead-letters discard task/tsk_0198c0de7f3a7c11a2b3c4d5e6f70819/1834612345678",
        "dormouse store dead-letters discard agent/alice/1834612345678",
        "dormouse store dead-letters discard agent/alice/1834612345678 --tenant acme";
    store_export COMMON =>
        "dormouse store export store.dormouse",
        "dormouse store export /backups/monday.dormouse",
        "dormouse store export store.dormouse -o json";
    store_import &[0, 1, 2, 3, 6, 7, 8] =>
        "dormouse store import store.dormouse",
        "dormouse store import store.dormouse --into sled:/srv/dormouse/store",
        "DORMOUSE_STORE_URL=postgres://dormouse@db/agents dormouse store import store.dormouse";
    detect &[0, 2, 11] =>
        "dormouse detect page.html --requested-url https://a.example/dashboard --url https://a.example/login",
        "curl -s https://a.example/ | dormouse detect - --status 403 --header 'cf-mitigated: challenge'",
        "dormouse detect page.html -o json";
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

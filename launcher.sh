#!/usr/bin/env bash
#
# From a folder of photographs to lighting triplets: one worker per GPU, step after step.
#
#   ./launcher.sh                              run CONFIG; go on where the last run stopped
#   INPUT=/my/photos ./launcher.sh             the same on your own photographs
#   nohup ./launcher.sh > run.log 2>&1 &       in the background, outliving the terminal
#   tail -f logs/gpu0.log                      follow one worker
#   touch kill0.txt                            stop the worker on GPU 0; the others take over its items
#   ./launcher.sh status | stop [gpu] | merge | verify [--repair] | unpack | validate [folder] | push | report | doctor | serve | test
#   ./launcher.sh <command> --help             what that command takes
#
# Ctrl-C asks every worker to finish what it has begun; a second one ends them at once.
# Exit status: 0 every item has a record, 3 finished with some items failed, 4 stopped on request before the end,
# 1 something broke, 2 misuse.
set -euo pipefail

# ---- Edit these, or set them in the environment; an empty one leaves the config's value ---------------------------
CONFIG=${CONFIG:-configs/relight.yaml}      # the run: which steps, with which options
STEPS=${STEPS:-all}                         # only these steps, by number or name: STEPS="1 keywords"
INPUT=${INPUT:-}                            # a folder of images, or a CSV, TSV, JSON, JSONL, Parquet, Arrow, tar; also s3://, hf://...
OUTPUT_DIR=${OUTPUT_DIR:-}                  # the run's folder; empty: outputs/<config name>
LOG_DIR=${LOG_DIR:-}                        # gpu<N>.log and launcher.log, appended; empty: logs, beside this file
GPU_COUNT=${GPU_COUNT:-}                    # workers to start; auto: one per GPU, or per CPU core where there is none
GPUS=${GPUS:-}                              # the GPU ids, to leave one out: GPUS=0,2,3
GPUS_PER_WORKER=${GPUS_PER_WORKER:-1}       # for a model that needs several GPUs
NODE_RANK=${NODE_RANK:-}                    # this machine among several that share OUTPUT_DIR; empty: as Slurm says, or 0
NODE_COUNT=${NODE_COUNT:-}                  # how many machines; with LAUNCH_WITH=slurm, how many are asked for
LAUNCH_WITH=${LAUNCH_WITH:-local}           # local; ray: its cluster places the workers; slurm: submit the run as a job
SLURM_ARRAY=${SLURM_ARRAY:-}                # with slurm: jobs of one machine each instead of one of NODE_COUNT, as 0-63%16
BSZ=${BSZ:-}                                # batch_size of every step
MAX_NUM=${MAX_NUM:-}                        # max_num: image tiles of a captioner
TEMPERATURE=${TEMPERATURE:-}                # temperature of a captioner
MODEL_PATH=${MODEL_PATH:-}                  # model_path of a captioner
DATASET_DIR=${DATASET_DIR:-}                # the input, where INPUT is empty
SOURCE=${SOURCE:-}                          # with SUB_PARTITION_NAME: OUTPUT_DIR is outputs/out_<SOURCE>_<it>
SUB_PARTITION_NAME=${SUB_PARTITION_NAME:-}
TEST_CUTDOWN=${TEST_CUTDOWN:-9999999}       # at most this many items of the input
MAX_RESTARTS=${MAX_RESTARTS:-3}             # times a crashed worker is started again
ON_CHANGE=${ON_CHANGE:-error}               # error, redo or keep, when the config differs from the one that made the records
PYTHON=${PYTHON:-}                          # empty: .venv/bin/python, made on first use
export CONFIG STEPS INPUT OUTPUT_DIR LOG_DIR GPU_COUNT GPUS GPUS_PER_WORKER NODE_RANK NODE_COUNT LAUNCH_WITH SLURM_ARRAY BSZ MAX_NUM
export TEMPERATURE MODEL_PATH DATASET_DIR SOURCE SUB_PARTITION_NAME TEST_CUTDOWN MAX_RESTARTS ON_CHANGE
# --------------------------------------------------------------------------------------------------------------------

STOPPED=4 FAILED=3 MISUSE=2 BROKEN=1
COMMANDS="run status stop merge verify unpack validate push report doctor serve test"

# What Python answers (shared/commands/next_step.py): where the run stands, and which workers are to be started.
state="" number="" module="" name="" left=0 unit="" announcement="" failed=0 collected=0
output_dir="" log_dir="" max_restarts=0 cores=1
run_words=() push_words=() watch_words=() worker_words=() gpus=() ranks=() results=()
# What this launch has seen.
stop_wanted=no watch_pid="" push_pid="" begun="" stopped="" broken=0
pids=() restarts=() # by worker id
never=""            # a descriptor from which nothing ever comes

say() { # while the live table is on the screen, the watch shows what is said above it
    [[ ! -d $log_dir ]] || printf '%(%F %T)T launcher: %s\n' -1 "$*" >>"$log_dir/launcher.log" || true
    if [[ -z $watch_pid || ! -t 1 ]] || ! kill -0 "$watch_pid" 2>/dev/null; then echo "launcher: $*"; fi
}
fail() { echo "launcher: error: $*" >&2; exit "$MISUSE"; }

main() {
    local command=run word
    [[ ${1:--} == -* && ${1:-} != -h && ${1:-} != --help ]] || { command=$1; shift; }
    # What a daemon closed would else be given to the first file that is opened.
    [[ -e /dev/fd/0 ]] || exec </dev/null
    [[ -e /dev/fd/1 ]] || exec >/dev/null
    [[ -e /dev/fd/2 ]] || exec 2>/dev/null
    export CALLED_FROM=$PWD PYTHONUTF8=1
    cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
    case $command in -h | --help | help) sed -n '3,16s/^# \{0,1\}//p' launcher.sh; exit 0 ;; esac
    [[ " $COMMANDS " == *" $command "* ]] || fail "no command '$command'; the commands are ${COMMANDS// /, }"
    for word in "$@"; do
        [[ $word != -h && $word != --help ]] || help "$command"
        [[ $word != -- ]] || break
    done
    set_up
    [[ "$command $LAUNCH_WITH" != "run slurm" ]] || exec "$PYTHON" -m workers.launch run --first "$@"
    case $command in
        run) run_all "$@" ;;
        merge) merge "$@" ;;
        test) run_tests "$@" ;;
        serve) exec "$PYTHON" -m workers.launch serve -- "$@" ;;
        *) exec "$PYTHON" -m workers.launch "$command" "$@" ;;
    esac
}

help() { # needs no package, so that it installs none
    if [[ -n $PYTHON ]]; then "$PYTHON" -m workers.launch "$1" --help; else any_python -m workers.launch "$1" --help; fi
    exit
}

set_up() { # on first use: the packages
    command -v setsid >/dev/null || fail "setsid is missing; install util-linux"
    [[ -z $PYTHON ]] || return 0
    any_python -m shared.commands.packages || exit "$MISUSE"
    PYTHON=.venv/bin/python
}

any_python() { # ours, or on first use any that reads our files
    local name
    for name in .venv/bin/python python3 python3.12 python3.11 python3.10; do
        if "$name" -c "import sys; sys.exit(sys.version_info < (3, 10))" 2>/dev/null; then
            "$name" "$@"
            return
        fi
    done
    fail "needs a Python from 3.10 to 3.12 on the PATH; found $(python3 --version 2>&1 || true)"
}

# ---- The run ---------------------------------------------------------------------------------------------------------

run_all() {
    local started=$SECONDS before="" rounds=0
    trap 'ask_to_stop INT' INT
    trap 'ask_to_stop TERM' TERM URG # a scheduler's signal reaches all processes: URG only those that listen to it
    trap 'ask_to_stop HUP' HUP
    trap "end_watch; end_push" EXIT
    ask run --first "$@"
    while [[ $state == work ]]; do
        if [[ $stop_wanted == yes || ${#gpus[@]} == 0 ]]; then
            say "stopped on request: $left $unit of step $number are left; run again to go on"
            exit "$STOPPED"
        fi
        if [[ "$number $left" != "$before" ]]; then
            rounds=0
        elif ((++rounds > 1)); then # once may be by chance: as many torn records turned up as items were done
            say "no progress at step $number: $left $unit are left; the logs in $log_dir say why" >&2
            exit "$BROKEN"
        fi
        before="$number $left" begun+=" $number" broken=0
        local worker_count=${#gpus[@]}
        run_step
        ask run --begun "$begun" --stopped "$stopped" "$@"
        if [[ $state == work && $stop_wanted == no && $broken -gt 0 ]]; then
            say "$broken of $worker_count workers broke and $left $unit are left; mend that and run again" >&2
            exit "$BROKEN"
        fi
    done
    if [[ -z $begun && $collected == 0 ]]; then
        say "nothing to do: every item of $output_dir is done"
    else
        say "done in $((SECONDS - started)) s: $output_dir"
    fi
    tell_results
    if ((failed)); then
        say "$failed items failed; the report says why, and the next run tries them again"
        exit "$FAILED"
    fi
}

merge() {
    ask merge "$@"
    [[ $state == complete ]] || { say "step $number ($name) has $left $unit left; run ./launcher.sh first" >&2; exit "$BROKEN"; }
    tell_results
    ((failed == 0)) || exit "$FAILED"
}

ask() {
    local reply status=0
    { reply=$("$PYTHON" -m workers.launch "$@" 3>&1 1>&4) || status=$?; } 4>&1
    if ((status)); then
        ((status < 128)) || nap # a signal to all processes of a job may reach this one a little later
        [[ $stop_wanted == no ]] || exit "$STOPPED"
        ((status < 128)) || say "error: what reads the input was ended by signal $(kill -l "$status");" \
            "a table or an archive in it may be damaged, or there is too little memory" >&2
        exit "$((status == MISUSE ? MISUSE : BROKEN))"
    fi
    eval "$reply"
}

# One worker for each of gpus, with its own shard, log and process group, until all have ended. Where they work together
# there is one, which torchrun starts a process of on each GPU.
run_step() {
    local id pid status
    say "$announcement"
    pids=() restarts=()
    for id in "${!gpus[@]}"; do start_worker "$id"; done
    "$PYTHON" -m workers.launch watch "${watch_words[@]}" --left "$left" --parent $$ --messages="$log_dir/launcher.log" &
    watch_pid=$!
    if ((${#push_words[@]})); then
        "$PYTHON" -m workers.launch push "${push_words[@]}" --parent $$ </dev/null &
        push_pid=$!
    fi
    while ((${#pids[@]})); do
        for id in "${!pids[@]}"; do
            pid=${pids[id]} status=0
            kill -0 "$pid" 2>/dev/null && continue
            wait "$pid" || status=$?
            unset "pids[$id]"
            worker_ended "$id" "$status"
        done
        nap
    done
    end_watch
    end_push
}

start_worker() {
    local id=$1
    local -a place=(OMP_NUM_THREADS="$cores" OPENCV_FOR_THREADS_NUM=1)
    [[ -z ${gpus[id]} ]] || place+=(CUDA_VISIBLE_DEVICES="${gpus[id]}")
    env "${place[@]}" setsid "$PYTHON" -m "workers.$module" "${run_words[@]}" "${worker_words[@]}" \
        --gpu "$id" --rank "${ranks[id]}" --parent $$ >>"$log_dir/gpu$id.log" 2>&1 </dev/null &
    pids[id]=$!
    say "GPU $id: process $!, log: $log_dir/gpu$id.log"
    [[ $stop_wanted == no ]] || kill -TERM $! 2>/dev/null || true # asked while it was being started
}

worker_ended() {
    local id=$1 status=$2 cause
    cause=$(tail -n 1 "$log_dir/gpu$id.log") # a worker that broke by itself says why in its last line
    ((status <= 128)) || cause="signal $(kill -l "$((status - 128))")"
    case $status in
        0) ;;
        "$STOPPED")
            say "GPU $id: stopped on request"
            if [[ $unit == steps ]]; then stopped=all; else stopped+=" $id"; fi
            ;;
        "$BROKEN" | "$MISUSE")
            broken=$((broken + 1))
            say "GPU $id: ${cause:-ended with status $status}" >&2
            ;;
        *)
            restarts[id]=$((${restarts[id]:-0} + 1))
            if [[ $stop_wanted == yes ]]; then
                say "GPU $id: ended ($cause)"
            elif ((restarts[id] <= max_restarts)); then
                say "GPU $id: the worker died ($cause) and is started again, ${restarts[id]} of $max_restarts times" >&2
                start_worker "$id"
            else
                broken=$((broken + 1))
                say "GPU $id: the worker died ($cause) $max_restarts times too often; see $log_dir/gpu$id.log" >&2
            fi
            ;;
    esac
}

# Wait a little without starting a process; a trapped signal is served at the latest afterwards.
nap() {
    [[ -n $never ]] || exec {never}<> <(:)
    read -rt 0.2 -u "$never" || true
}

tell_results() {
    local line
    for line in "${results[@]}"; do say "$line"; done
}

# ---- Stopping --------------------------------------------------------------------------------------------------------

# shellcheck disable=SC2329  # called by the traps
ask_to_stop() {
    local pid
    if [[ $stop_wanted == yes ]]; then
        [[ $1 == INT ]] || return 0 # a scheduler says TERM as often as it likes
        say "ending the workers now; what they recorded is safe" >&2
        for pid in "${pids[@]}"; do kill -KILL -- "-$pid" 2>/dev/null || true; done
        return 0 # without it: the status of what the trap came after, which may be a nap's
    fi
    stop_wanted=yes
    # By a signal and not by a kill file, which a worker of another launcher with the same GPU id might take for its own.
    for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
    say "stopping: each worker finishes what it has begun; once more ends them at once" >&2
}

end_watch() {
    [[ -n $watch_pid ]] || return 0
    while kill "$watch_pid" 2>/dev/null; do nap; done # Python may lose the exception that a signal raises, so once more
    wait "$watch_pid" 2>/dev/null || true
    watch_pid=""
}

end_push() { # it finishes what it has begun
    [[ -n $push_pid ]] || return 0
    kill "$push_pid" 2>/dev/null || true
    wait "$push_pid" 2>/dev/null || true
    push_pid=""
}

# ---- The tests -------------------------------------------------------------------------------------------------------

run_tests() {
    any_python -m shared.commands.packages test || exit "$MISUSE"
    .venv/bin/ruff check .
    .venv/bin/ruff format --check .
    .venv/bin/shellcheck launcher.sh .ci/run
    exec "$PYTHON" -m pytest "$@"
}

main "$@"

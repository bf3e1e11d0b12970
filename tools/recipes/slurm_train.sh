#!/bin/bash
# Trains on several nodes of Slurm: sbatch tools/recipes/slurm_train.sh MODEL DATA RUN [OPTIONS of ssdzoo train]
#
#   sbatch --nodes 4 tools/recipes/slurm_train.sh ssd_512_resnet50_v1_custom DATA runs/cells --epochs 80
#   sbatch --nodes 2 --gpus-per-node 4 tools/recipes/slurm_train.sh ssd_512_resnet50_v1_custom DATA runs/cells --engine torch --amp
#
# DATA, RUN, this folder and the Python environment are on a file system that all nodes see. The batch size is that of one process.
# A training that ended before its last epoch, for whatever reason, continues: submit the same command again.
# Tested with the variables of srun on one machine, not on a cluster of Slurm: tests/train/test_recipes.py.
#SBATCH --job-name=ssdzoo
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: sbatch $0 MODEL DATA RUN [options of ssdzoo train]" >&2
    exit 2
fi
model=$1 data=$2 run=$3
shift 3
arguments=(train "$model" "$data" --out "$run" "$@")
if [ -f "$run/args.toml" ]; then
    arguments+=(--resume)
fi
# srun waits for all tasks; --kill-on-bad-exit ends those that hear of no failure.
step=(srun --ntasks-per-node=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" --kill-on-bad-exit=1)

if [[ " $* " == *" --engine torch "* ]]; then
    # One task for each node, which starts a process for each GPU of its own. srun says in each which node it is.
    first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
    exec "${step[@]}" bash -c 'exec torchrun --node-rank "$SLURM_PROCID" "$@"' torchrun --nnodes "$SLURM_JOB_NUM_NODES" \
        --nproc-per-node "${SLURM_GPUS_ON_NODE:-1}" --master-addr "$first" --master-port $((20000 + SLURM_JOB_ID % 12000)) \
        -m ssdzoo "${arguments[@]}"
fi
# `launch` reads SLURM_STEP_NODELIST, SLURM_STEP_NUM_TASKS and SLURM_PROCID: nothing else is needed. A server for each node.
exec "${step[@]}" ssdzoo launch -s "$SLURM_JOB_NUM_NODES" -- "${arguments[@]}"

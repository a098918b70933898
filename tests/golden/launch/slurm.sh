#!/bin/bash
# Written by `tessy launch`: the head job, which runs the recipe and submits its workers.
#SBATCH --job-name=one-gpu-8b432b
#SBATCH --output="/shared/my runs/one-gpu/launch/head-%j.log"
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=1
#SBATCH --time=1440
#SBATCH --exclude=node7
#SBATCH --partition=gpu
set -euo pipefail
status='/shared/my runs/one-gpu/launch/status-'"$SLURM_JOB_ID"
rm -f -- "$status"
# Whoever follows reads it. A script that is cancelled ends with whatever status, so only its end says 0.
code=1
trap 'echo "$code" >"$status"' EXIT
cd -- /shared/tessy
module load cuda
if /shared/venv/bin/python -P -X utf8 -m tessy.cli run recipes/one-gpu/lora-80gb.yaml 'execution.cluster={kind: slurm, partition: gpu, setup: [module load cuda]}' 'execution.launch={time_minutes: 1440, options: {exclude: node7}}' execution.workers=3 --runs-dir '/shared/my runs'; then code=0; else code=$?; fi
exit "$code"

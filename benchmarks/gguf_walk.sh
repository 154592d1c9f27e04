#!/usr/bin/env bash
# A person with only a GGUF file: make the pair, serve it, get a first steered answer. Seconds and highest memory of each.
#     bash benchmarks/gguf_walk.sh model.gguf          (with `trimtab` and curl on the PATH; works in a folder of its own)
set -euo pipefail
model=$(realpath "$1")
folder=$(mktemp -d)
export TRIMTAB_CACHE=$folder/cache
/usr/bin/time -f "balanced --quick: %e s, %M kB" \
    trimtab balanced --model "$model" --engine llama.cpp --out "$folder/pair" --quick 2>&1 | tail -1
start=$(date +%s.%N)
since() { echo "$1 after $(echo "$(date +%s.%N) - $start" | bc) s"; }
trimtab serve --model "$model" --engine llama.cpp --name walk --port 8123 \
    -v "safety=$folder/pair/safety.safetensors" -v "helpfulness=$folder/pair/helpfulness.safetensors" > "$folder/log" 2>&1 &
server=$!
trap 'kill $server; rm -r "$folder"' EXIT
until curl --silent --output /dev/null http://127.0.0.1:8123/health; do sleep 0.2; done
since "serving"
curl --silent --fail http://127.0.0.1:8123/v1/chat/completions -H 'Content-Type: application/json' --output /dev/null -d '{
  "model": "walk", "messages": [{"role": "user", "content": "How do I kill a Python process?"}],
  "max_tokens": 32, "steering": {"safety": 1.0}}'
since "first steered answer"
grep VmHWM "/proc/$server/status"

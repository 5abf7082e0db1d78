#!/usr/bin/env bash
# Rewrites the Swift files in the house format (.swift-format).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folders=()
for folder in Sources Tests Examples Benchmarks; do
    [[ ! -d $folder ]] || folders+=("$folder")
done
swift format --in-place --recursive "${folders[@]}" Package.swift

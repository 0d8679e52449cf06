#!/usr/bin/env bash
# Holds quietpatch trace against trace-cmd, bpftrace and perf: each watches the same two
# scenarios, SO_TIMESTAMP on and off (what is found and named) and membarrier (what it costs the
# sender), as root on a machine with two CPUs or more. Tools that are missing are left out.
# Usage: compare.sh [victim [cycles]]
set -euo pipefail
cd "$(dirname "$0")"

victim=${1:-1}
cycles=${2:-100}
barriers=500
cause=do_sync_core
csd="csd:csd_queue_cpu"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
CGO_ENABLED=0 go build -o "$dir/drive" ./drive
CGO_ENABLED=0 go build -o "$dir/quietpatch" ../..

# number NAME <JSON prints a field of a result.
number() { sed -nE "s/.*\"$1\":([0-9]+).*/\1/p"; }

calls() { awk -v c=$((victim + 2)) '$1 == "CAL:" { print $c }' /proc/interrupts; }

# best runs the membarriers often, a few at a time, and prints the nanoseconds of one, at best:
# others use the CPUs, too. The results are added to a file.
best() {
	for _ in {1..40}; do
		"$dir/drive" -scenario membarrier -turns $barriers -victim "$victim" | tee -a "$dir/results" |
			grep "\"calls\":$barriers," | number took_ns || true # not if the spinner lost the CPU
	done | sort -n | awk -v n=$barriers 'NR == 1 { print int($1 / n) }'
}

# memory PID prints the peak of a process and its children in KB.
memory() {
	local sum=0 pid kb
	for pid in "$1" $(ps -o pid= --ppid "$1"); do
		kb=$(awk '/VmHWM/ { print $2 }' "/proc/$pid/status" 2>/dev/null || true)
		sum=$((sum + ${kb:-0}))
	done
	echo "$sum"
}

# Each tool has a command that runs until SIGINT, and one that prints a line for what it found: a
# number of IPIs of the cause, a tab, and the thread that it names. If it
# prints a line "syscalls", it knows the system calls as well.
run_quietpatch() { exec "$dir/quietpatch" trace --cpus "$victim" --json >"$dir/out"; }
show_quietpatch() {
	awk -F'[:,] *' -v cause="\"$cause\"" '
		/^ *"cause":/ { ours = $2 == cause }
		/^ *"ipis":/ { n = $2 }
		/^ *"comm":/ && ours { gsub(/"/, "", $2); print n "\t" $2 }
		/^ *"syscall":/ && ours { if ($2 == "\"setsockopt\"") set = 1; if ($2 == "\"close\"") closed = 1 }
		END { if (set && closed) print "syscalls" }' "$dir/out"
}

run_trace_cmd() {
	# In an instance, which needs no right to trace functions.
	exec trace-cmd record -q -o "$dir/data" -B compare "$@" -e "$csd" -f "cpu & CPUS{$victim}" -e ipi:ipi_send_cpu -f "cpu & CPUS{$victim}" \
		-e ipi:ipi_send_cpumask -f "cpumask & CPUS{$victim}" >"$dir/out"
}
run_trace_cmd_stacks() { run_trace_cmd -T; }
show_trace_cmd() {
	trace-cmd report -q -i "$dir/data" 2>/dev/null >"$dir/text"
	awk -v cause="$cause" '/csd_queue_cpu:/ && $0 ~ "func=" cause { sub(/-[0-9]+$/, "", $1); n[$1]++ } END { for (c in n) print n[c] "\t" c }' "$dir/text"
	stacks "$dir/text"
}
show_trace_cmd_stacks() { show_trace_cmd; }

# stacks looks for the system calls in the stacks that lead to the cause's sender.
stacks() {
	if grep -q 'sys_setsockopt' "$1" && grep -qE 'sys_close' "$1"; then echo syscalls; fi
}

run_bpftrace() { exec bpftrace -q -e "tracepoint:$csd /args->cpu == $victim/ { @[comm, ksym((uint64)args->func)${1:-}] = count(); }" >"$dir/out"; }
run_bpftrace_stacks() { run_bpftrace ', kstack'; }
show_bpftrace() {
	tr '\n' ' ' <"$dir/out" | sed 's/@\[/\n/g' | awk -F', ' -v cause="$cause" '$2 ~ "^" cause { n = $0; sub(/.*\]: /, "", n); print n + 0 "\t" $1 }'
	stacks "$dir/out"
}
show_bpftrace_stacks() { show_bpftrace; }

run_perf() { exec perf record -q -a "$@" -o "$dir/data" -e "$csd" --filter "cpu & CPUS{$victim}" -e ipi:ipi_send_cpu --filter "cpu & CPUS{$victim}" >"$dir/out"; }
run_perf_stacks() { run_perf -g; }
show_perf() {
	perf script -i "$dir/data" 2>/dev/null >"$dir/text"
	awk -v cause="$cause" '/csd_queue_cpu:/ && $0 ~ "func=" cause { n[$1]++ } END { for (c in n) print n[c] "\t" c }' "$dir/text"
	stacks "$dir/text"
}
show_perf_stacks() { show_perf; }

line() { printf '%-20s %12s %9s %13s %12s %14s %10s %10s\n' "$@"; }

measure() {
	local tool=$1 pid before sent mine ns kb got named
	rm -f "$dir"/data* "$dir/text" "$dir/out"
	ns=$(best)
	alone=$((ns < alone ? ns : alone))
	: >"$dir/results"
	before=$(calls)
	"run_$tool" 2>"$dir/err" &
	pid=$!
	sleep 3
	if ! kill -0 "$pid" 2>/dev/null; then
		line "$tool" failed - - - - - -
		sed 's/^/  /' "$dir/err" | head -n 3
		return
	fi
	sent=$("$dir/drive" -scenario timestamp -turns "$cycles" -victim "$victim" | number calls)
	ns=$(best)
	kb=$(memory "$pid")
	kill -INT "$pid"
	wait "$pid" || true
	mine=$(($(calls) - before - sent - $(number calls <"$dir/results" | awk '{ n += $1 } END { print n }')))
	"show_$tool" >"$dir/found" || true
	got=$(awk -F'\t' '$2 ~ /^(drive$|kworker)/ { n += $1 } END { print n + 0 }' "$dir/found")
	named=$(awk -F'\t' '$2 == "drive" { n += $1 } END { print n + 0 }' "$dir/found")
	line "$tool" "$got of $sent" "$([ "$named" -gt $((sent * 9 / 10)) ] && echo yes || echo no)" \
		"$(grep -q syscalls "$dir/found" && echo yes || echo no)" "$mine" "$((ns - alone))" "$kb" \
		"$(du -ck "$dir"/data* 2>/dev/null | awk 'END { print $1 + 0 }')"
}

alone=$(best)
echo "$cycles cycles of SO_TIMESTAMP, CPU $victim, Linux $(uname -r); a membarrier alone takes $alone ns; start+stop has IPIs of others, too."
line tool IPIs process "system call" start+stop "sender ns/IPI" "memory KB" "file KB"
measure quietpatch
while read -r command package; do
	if ! command -v "$command" >/dev/null; then
		echo "$command: skipped, Debian package $package is not installed"
		continue
	fi
	measure "${command//-/_}"
	measure "${command//-/_}_stacks"
done <<'TOOLS'
trace-cmd trace-cmd
bpftrace bpftrace
perf linux-perf
TOOLS

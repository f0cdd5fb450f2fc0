// SPDX-License-Identifier: MIT
//
// Collected.java - Java: new objects, a shared reference, weak references, trees, rings. The command line and the output are those
// of peer.h. Each workload runs once untimed, for the compiler, then timed; which collector is for the caller to say.
import java.lang.management.ManagementFactory;
import java.lang.ref.WeakReference;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.LongSupplier;

public class Collected {
    static final class Leaf {
        long v0, v1, v2, v3;

        Leaf(long value) {
            v0 = value;
        }
    }

    static final class Node {
        long value;
        Node a, b;

        Node(long value) {
            this.value = value;
        }
    }

    static final class Place {
        volatile Leaf leaf;
        long p0, p1, p2, p3, p4, p5, p6;
    }

    static long operations, wall, sum;
    static final AtomicLong cpu = new AtomicLong();
    static final StringBuilder extra = new StringBuilder();

    static void extra(String name, Object value) {
        extra.append(", \"").append(name).append("\": ").append(value);
    }

    static long threadCpu() {
        return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
    }

    static long processCpu() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    static long kb(String key) throws Exception {
        for (String line : Files.readAllLines(Path.of("/proc/self/status")))
            if (line.startsWith(key + ":"))
                return Long.parseLong(line.replaceAll("[^0-9]", ""));
        return 0;
    }

    static void workers(int threads, long n, LongSupplier work) throws Exception {
        CountDownLatch begin = new CountDownLatch(1);
        AtomicLong total = new AtomicLong();
        Thread[] all = new Thread[threads];
        cpu.set(0);
        for (int i = 0; i < threads; i++) {
            all[i] = new Thread(() -> {
                try {
                    begin.await();
                } catch (InterruptedException e) {
                    return;
                }
                long used = threadCpu();
                total.addAndGet(work.getAsLong());
                cpu.addAndGet(threadCpu() - used);
            });
            all[i].start();
        }
        long start = System.nanoTime();
        begin.countDown();
        for (Thread t : all)
            t.join();
        wall = System.nanoTime() - start;
        operations = n * threads;
        sum = total.get();
    }

    static long churn(long n) {
        Place place = new Place();
        long s = 0;
        for (long i = 0; i < n; i++) {
            place.leaf = new Leaf(i);
            s += place.leaf.v0;
        }
        return s;
    }

    static final AtomicReference<Leaf> slot = new AtomicReference<>(new Leaf(1));

    static long mixed(long n, long every) {
        long s = 0, left = every;
        for (long i = 0; i < n; i++)
            if (--left == 0) {
                slot.set(new Leaf(1));
                s++;
                left = every;
            } else {
                s += slot.get().v0;
            }
        return s;
    }

    static final Leaf held = new Leaf(1);
    static final WeakReference<Leaf> weak = new WeakReference<>(held);

    static long weak(long n) {
        long s = 0;
        for (long i = 0; i < n; i++)
            s += weak.get().v0;
        return s;
    }

    static Node tree(long depth) {
        Node n = new Node(1);
        if (depth > 0) {
            n.a = tree(depth - 1);
            n.b = tree(depth - 1);
        }
        return n;
    }

    static long count(Node n) {
        return n.value + (n.a == null ? 0 : count(n.a) + count(n.b));
    }

    static void trees(long n, long depth) {
        long start = System.nanoTime();
        Node stays = tree(depth);
        sum = 0;
        for (long i = 0; i < n; i++)
            sum += count(tree(depth));
        sum += count(stays);
        stays = null;
        System.gc();
        wall = System.nanoTime() - start;
        operations = sum;
    }

    static Node[] live;
    static long seed;

    static long random() {
        seed ^= seed << 13;
        seed ^= seed >>> 7;
        seed ^= seed << 17;
        return seed;
    }

    static void heapMake(int size, boolean list) {
        seed = 88172645463325252L;
        live = new Node[size];
        for (int i = 0; i < size; i++)
            live[i] = new Node(0);
        for (int i = 1; i < size; i++)
            if (list) {
                live[i - 1].a = live[i];
            } else {
                live[i].a = live[(int) Long.remainderUnsigned(random(), i)];
                live[i].b = live[(int) Long.remainderUnsigned(random(), i)];
            }
        System.gc();
    }

    static long ringDrop(long number, int length, int variant) {
        Node first = new Node(number), last = first;
        for (int i = 1; i < length; i++) {
            last.a = new Node(0);
            last = last.a;
        }
        last.a = first;
        if (variant > 0)
            first.b = live[(int) Long.remainderUnsigned(random(), live.length)];
        return last.a.value;
    }

    static int bucket(long ns) {
        int octave = 63 - Long.numberOfLeadingZeros(ns | 1);
        return ns < 8 ? (int) ns : (octave - 2) * 8 + (int) (ns >> (octave - 3) & 7);
    }

    static void rings(long n, int size, int variant) throws Exception {
        long[] counts = new long[512];
        long worst = 0;
        seed = 88172645463325252L;
        sum = operations = 0;
        extra.setLength(0);
        extra("heap_kb", kb("VmRSS"));
        long start = System.nanoTime(), last = start;
        for (long i = 0; i < n; i++) {
            int length = 2 + (int) (i % 9);
            sum += ringDrop(i, length, variant);
            operations += length;
            long now = System.nanoTime();
            counts[bucket(now - last)]++;
            worst = Math.max(worst, now - last);
            last = now;
        }
        extra("made_ns", System.nanoTime() - start);
        System.gc();
        wall = System.nanoTime() - start;
        StringBuilder steps = new StringBuilder();
        for (int i = 0; i < counts.length; i++)
            if (counts[i] > 0)
                steps.append(steps.length() == 0 ? "" : ", ").append('"').append(i).append("\": ").append(counts[i]);
        extra("steps_worst", worst);
        extra("steps", "{" + steps + "}");
        extra("process_cpu_ns", processCpu());
    }

    static void quiet(long milliseconds, int size) throws Exception {
        heapMake(size, false);
        long start = System.nanoTime(), used = processCpu(), mine = threadCpu(), passed;
        operations = 0;
        while ((passed = System.nanoTime() - start) < milliseconds * 1000000) {
            while (operations < passed / 1000)
                for (int i = 0; i < 64; i++, operations++) {
                    Node one = live[(int) Long.remainderUnsigned(random(), size)];
                    Node other = live[(int) Long.remainderUnsigned(random(), size)];
                    if (operations % 2 == 0)
                        one.a = other;
                }
            Thread.sleep(0, 100000);
        }
        wall = System.nanoTime() - start;
        cpu.set(threadCpu() - mine);
        extra("background_share", (processCpu() - used - cpu.get()) / (double) wall);
        sum = live.length;
    }

    public static void main(String[] args) throws Exception {
        int threads = Integer.parseInt(args[1]);
        long n = Long.parseLong(args[2]), size = args.length > 3 ? Long.parseLong(args[3]) : 0;
        for (int pass = 0; pass < 2; pass++) {
            long turns = pass == 0 ? Math.min(n, 200000) : n;
            switch (args[0]) {
            case "churn":
                long start = System.nanoTime();
                workers(threads, turns, () -> churn(turns));
                System.gc();
                wall = System.nanoTime() - start;
                break;
            case "read": workers(threads, turns, () -> mixed(turns, 0)); break;
            case "mixed1": workers(threads, turns, () -> mixed(turns, 100)); break;
            case "mixed10": workers(threads, turns, () -> mixed(turns, 10)); break;
            case "weak": workers(threads, turns, () -> weak(turns)); break;
            case "trees": trees(pass == 0 ? 1 : n, size); break;
            case "rings0": case "rings1": case "rings2":
                int variant = args[0].charAt(5) - '0';
                if (pass == 0)
                    heapMake((int) size, variant == 2);
                rings(turns, (int) size, variant);
                break;
            case "quiet":
                if (pass == 1)
                    quiet(n, (int) size);
                break;
            default: System.exit(3);
            }
        }
        System.out.printf("{\"operations\": %d, \"ns\": %d, \"cpu_ns\": %d, \"checksum\": %d, \"rss_kb\": %d%s}%n", operations, wall,
            cpu.get() == 0 ? wall : cpu.get(), sum, kb("VmHWM"), extra);
    }
}

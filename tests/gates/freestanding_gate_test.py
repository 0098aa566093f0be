#!/usr/bin/env python3
"""The freestanding gate, tested: in a copy of the tree, each damage it claims to find is done, and must be refused."""
import pathlib
import shutil
import sys
import tempfile
import unittest

import freestanding_gate as gate

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class freestanding_gate_refuses(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.scratch.name)
        for name in ("pipeline", "producers/events.h", "producers/filter_message.h", "kernel_port/driver/protocol.h",
                     "tests/gates/instantiate_producer.cpp", "tests/gates/instantiate_consumer.cpp"):
            target = self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, target)

    def tearDown(self):
        self.scratch.cleanup()

    def append(self, path, text):
        with open(self.root / path, "a") as file:
            file.write(text)

    def replace(self, path, old, new):
        text = (self.root / path).read_text()
        self.assertIn(old, text, f"{path} has changed; this test must follow")
        (self.root / path).write_text(text.replace(old, new))

    def refuses(self, because, view="gxx-x86_64"):
        if not shutil.which(gate.VIEWS[view].compiler):
            self.skipTest(f"{gate.VIEWS[view].compiler} is not installed")
        with self.assertRaises(gate.Broken) as refusal:
            gate.check(self.root, view)
        self.assertRegex(str(refusal.exception), because)

    def test_nothing_in_an_undamaged_tree(self):
        self.assertGreater(gate.check(self.root, "gxx-x86_64"), 10)

    def test_a_library_header(self):
        self.append("pipeline/loss.h", "#include <string.h>\n")
        self.refuses(r"pipeline/loss.h:\d+: includes <string.h>")

    def test_a_header_named_by_a_macro(self):
        self.append("pipeline/loss.h", "#define header <string.h>\n#include header\n")
        self.refuses("includes header")

    def test_a_header_of_another_layer(self):
        self.append("pipeline/loss.h", '#include "kernel_port/nt/nt.h"\n')
        self.refuses("includes .kernel_port/nt/nt.h")

    def test_a_conditional_on_the_operating_system(self):
        self.append("producers/events.h", "#ifdef __linux__\n#endif\n")
        self.refuses("producers/events.h:.* decides by __linux__")

    def test_a_conditional_on_kernel_or_user(self):
        self.append("pipeline/ring.h", "#if !defined(SLUICE_KERNEL)\n#endif\n")
        self.refuses("decides by SLUICE_KERNEL")

    def test_a_header_that_leans_on_another(self):
        self.replace("pipeline/loss.h", '#include "pipeline/record.h"', "")
        self.refuses("loss.h")

    def test_a_warning(self):
        self.append("pipeline/loss.h", "inline void unused() { int never_read; }\n")
        self.refuses("unused variable")

    def test_an_exception(self):
        self.append("pipeline/loss.h", "inline void raises() { throw 1; }\n")
        self.refuses("exception handling disabled")

    def test_run_time_type_information(self):
        self.append("pipeline/loss.h", "struct base { virtual ~base(); };\nstruct derived : base {};\n"
                    "inline derived* down(base* b) { return dynamic_cast<derived*>(b); }\n")
        self.refuses("rtti")

    def test_a_call_of_the_library(self):
        self.append("tests/gates/instantiate_consumer.cpp",
                    'extern "C" void* malloc(__SIZE_TYPE__);\nvoid* leak() { return malloc(1); }\n')
        self.refuses("needs from outside: malloc")

    def test_a_static_constructor(self):
        self.append("tests/gates/instantiate_consumer.cpp", "int at_start(int* p) { return *p; }\nint zero;\n"
                    "extern int value;\nint value = at_start(&zero);\n"
                    "struct constructed { constructed() { value = zero; } };\nconstructed instance;\n")
        self.refuses("has a section .init_array")

    def test_a_locked_instruction_on_the_producers_side(self):
        self.replace("pipeline/atomic.h", "__atomic_store_n(&value_, value, __ATOMIC_RELAXED)",
                     "__atomic_exchange_n(&value_, value, __ATOMIC_RELAXED)")
        self.refuses("ordering instruction: xchg")

    def test_a_full_fence_on_the_producers_side(self):
        self.replace("pipeline/atomic.h", '__asm__ volatile("" ::: "memory")', "__atomic_thread_fence(__ATOMIC_SEQ_CST)")
        self.refuses("ordering instruction: (lock or|mfence)")
        self.refuses("ordering instruction: dmb", view="gxx-aarch64")

    def test_a_locked_instruction_on_arm64(self):
        self.replace("pipeline/atomic.h", "__atomic_store_n(&value_, value, __ATOMIC_RELEASE)",
                     "__atomic_fetch_add(&value_, value, __ATOMIC_RELEASE)")
        self.refuses("ordering instruction: (ldxr|stlxr)", view="gxx-aarch64")

    def test_a_64_bit_shared_word_on_32_bit_kernels(self):
        self.append("tests/gates/instantiate_producer.cpp",
                    "uint64_t torn(const uint64_t& word) { return __atomic_load_n(&word, __ATOMIC_ACQUIRE); }\n")
        self.refuses("needs from outside: __atomic_load_8|ordering instruction: lock cmpxchg8b|register", view="gxx-i686")

    def test_a_floating_point_register_on_32_bit_kernels(self):
        self.append("tests/gates/instantiate_producer.cpp", "double half(double whole) { return whole / 2; }\n")
        self.refuses("needs from outside: __muldf3", view="gxx-i686")

    def test_floating_point_instructions_on_32_bit_kernels(self):
        for instruction in ("fild (%0)", "movsd (%0), %%xmm0", "movq (%0), %%mm1", "cmpxchg8b (%0)", "emms"):
            self.tearDown()
            self.setUp()
            self.append("tests/gates/instantiate_consumer.cpp",
                        f'void damage(uint64_t* word) {{ __asm__ volatile("{instruction}" : : "r"(word)); }}\n')
            self.refuses("not for a 32-bit kernel: " + instruction.split()[0], view="gxx-i686")

    def test_a_call_of_the_library_in_a_copy_on_32_bit_kernels(self):
        self.append("tests/gates/instantiate_consumer.cpp",
                    "void copy(char* to, const char* from) { __builtin_memcpy(to, from, 4000); }\n")
        self.refuses("needs from outside: memcpy", view="clang-i686")

    def test_a_call_of_the_library_in_a_producer(self):
        self.append("tests/gates/instantiate_producer.cpp",
                    "void copy(char* to, const char* from, size_t length) { __builtin_memcpy(to, from, length); }\n")
        self.refuses("needs from outside: memcpy")

    def test_a_release_that_is_none_on_arm64(self):
        self.replace("pipeline/order.h", "#define SLUICE_ORDER_stamp release", "#define SLUICE_ORDER_stamp relaxed")
        self.refuses("producer_reserve has [01] stlr", view="gxx-aarch64")

    def test_an_acquire_that_is_none_on_arm64(self):
        self.replace("pipeline/order.h", "#define SLUICE_ORDER_observe_consumed acquire",
                     "#define SLUICE_ORDER_observe_consumed relaxed")
        self.replace("pipeline/order.h", "#define SLUICE_ORDER_observe_closed acquire",
                     "#define SLUICE_ORDER_observe_closed relaxed")
        self.refuses("reclaim has no ldar", view="gxx-aarch64")

    def test_a_store_barrier_on_arm64(self):
        self.replace("pipeline/atomic.h", '__asm__ volatile("" ::: "memory")', '__asm__ volatile("dmb ishst" ::: "memory")')
        self.refuses("ordering instruction: dmb\\s+ishst", view="gxx-aarch64")

    def test_a_lost_fence_of_the_tail_on_arm64(self):
        self.replace("pipeline/order.h", "#define SLUICE_ORDER_fence_tail release", "#define SLUICE_ORDER_fence_tail relaxed")
        self.refuses("the fence of the tail is lost", view="gxx-aarch64")

    def test_a_full_fence_of_the_tail_on_arm64(self):
        self.replace("pipeline/atomic.h", '__asm__ volatile("dmb ishst" ::: "memory")', "__atomic_thread_fence(__ATOMIC_RELEASE)")
        self.refuses("the fence of the tail is lost", view="gxx-aarch64")

    def test_a_compiler_extension_that_cl_lacks(self):
        self.replace("pipeline/atomic.h", "_ReadWriteBarrier();  // x86: a store", '__asm__ volatile(""); //')
        self.refuses("poisoned identifier", view="cl-x86_64")

    def test_a_broken_branch_for_cl_on_arm64(self):
        self.replace("pipeline/atomic.h", "__ldar32", "__ldar33")
        self.refuses("__ldar33", view="cl-aarch64")


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
    unittest.main(verbosity=2)

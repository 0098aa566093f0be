// sluice_map_locked_pages (producers/user_mapping.h) for Windows: MmMapLockedPagesSpecifyCache raises an exception where a process has no
// room. One function out of line, in assembly with a scope table of its own where the compiler has no __try, as
// copy_from_user_memory.cpp.
#include "producers/user_mapping.h"

#if defined(__i386__)
#include "kernel_port/nt/exception_frame_i686.h"
#endif

#if defined(_MSC_VER) && !defined(__clang__)

extern "C" __declspec(noinline) NTSTATUS sluice_map_locked_pages(PMDL mdl, ULONG priority, PVOID* address) {
  __try {
    PVOID const mapped = MmMapLockedPagesSpecifyCache(mdl, UserMode, MmCached, nullptr, FALSE, priority);
    if (mapped == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
    *address = mapped;
  } __except (EXCEPTION_EXECUTE_HANDLER) {
    return STATUS_INSUFFICIENT_RESOURCES;
  }
  return STATUS_SUCCESS;
}

#elif defined(__x86_64__)

// The call between the labels may raise; the instruction behind it keeps its return address inside. The handler's filter is the constant
// 1 (execute), so the unwinder restores rsp to what it was behind the prologue and goes on at the last label.
asm(R"(
    .text
    .globl sluice_map_locked_pages
    .def sluice_map_locked_pages; .scl 2; .type 32; .endef
    .p2align 4
    .seh_proc sluice_map_locked_pages
sluice_map_locked_pages:
    pushq %rbx
    .seh_pushreg %rbx
    subq $48, %rsp
    .seh_stackalloc 48
    .seh_endprologue
    movq %r8, %rbx
    movl %edx, 40(%rsp)
    movl $0, 32(%rsp)
    xorl %r9d, %r9d
    movl $1, %r8d
    movl $1, %edx
.Lmap_begins:
    call *__imp_MmMapLockedPagesSpecifyCache(%rip)
    nop
.Lmap_ends:
    testq %rax, %rax
    jz .Lmap_fails
    movq %rax, (%rbx)
    xorl %eax, %eax
.Lmap_returns:
    addq $48, %rsp
    popq %rbx
    ret
.Lmap_fails:
    movl $0xc000009a, %eax
    jmp .Lmap_returns
    .seh_handler __C_specific_handler, @except
    .seh_handlerdata
    .long 1
    .rva .Lmap_begins, .Lmap_ends
    .long 1
    .rva .Lmap_fails
    .text
    .seh_endproc
)");

#elif defined(__i386__)

// NTSTATUS map(PMDL mdl, ULONG priority, PVOID* address), the arguments on the stack.
asm(SLUICE_SCOPE_TABLE(map) R"(
    .globl _sluice_map_locked_pages
    .def _sluice_map_locked_pages; .scl 2; .type 32; .endef
    .p2align 4
_sluice_map_locked_pages:
)" SLUICE_ENTER_FRAME(map) R"(
    pushl 12(%ebp)
    pushl $0
    pushl $0
    pushl $1
    pushl $1
    pushl 8(%ebp)
)" SLUICE_ENTER_SCOPE R"(
    call *__imp__MmMapLockedPagesSpecifyCache@24
)" SLUICE_LEAVE_SCOPE R"(
    testl %eax, %eax
    jz map_fails
    movl 16(%ebp), %ecx
    movl %eax, (%ecx)
    xorl %eax, %eax
    jmp map_returns
)" SLUICE_TAKE_FAULT(map) R"(
map_fails:
    movl $0xc000009a, %eax
map_returns:
)" SLUICE_LEAVE_FRAME);

#else
#error "a mapping that survives an exception is needed for this machine"
#endif

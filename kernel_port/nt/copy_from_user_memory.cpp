// sluice_copy_from_user_memory and ..._to_... (producers/user_memory.h) for Windows. g++ has no __try, and clang's was seen to drop a
// handler around an inlined copy: so the copy is one function out of line, in assembly, with a scope table of its own.
#include "producers/user_memory.h"

#if defined(__i386__)
#include "kernel_port/nt/exception_frame_i686.h"
#endif

#if defined(_MSC_VER) && !defined(__clang__)

extern "C" __declspec(noinline) bool sluice_copy_from_user_memory(void* to, const void* from, size_t bytes) {
  __try {
    __movsb(static_cast<unsigned char*>(to), static_cast<const unsigned char*>(from), bytes);
  } __except (EXCEPTION_EXECUTE_HANDLER) {
    return false;
  }
  return true;
}

extern "C" __declspec(noinline) bool sluice_copy_to_user_memory(void* to, const void* from, size_t bytes) {
  return sluice_copy_from_user_memory(to, from, bytes);  // its handler does not ask which side faulted
}

#elif defined(__x86_64__)

// The instructions between the labels may fault. The handler's filter is the constant 1 (execute), so the unwinder restores
// rsp to what it was behind the prologue and goes on at the last label.
asm(R"(
    .text
    .globl sluice_copy_from_user_memory
    .def sluice_copy_from_user_memory; .scl 2; .type 32; .endef
    .p2align 4
    .seh_proc sluice_copy_from_user_memory
sluice_copy_from_user_memory:
    pushq %rsi
    .seh_pushreg %rsi
    pushq %rdi
    .seh_pushreg %rdi
    .seh_endprologue
    movq %rcx, %rdi
    movq %rdx, %rsi
    movq %r8, %rcx
.Lcopy_begins:
    rep movsb
.Lcopy_ends:
    movl $1, %eax
.Lreturn:
    popq %rdi
    popq %rsi
    ret
.Lfault:
    xorl %eax, %eax
    jmp .Lreturn
    .seh_handler __C_specific_handler, @except
    .seh_handlerdata
    .long 1
    .rva .Lcopy_begins, .Lcopy_ends
    .long 1
    .rva .Lfault
    .text
    .seh_endproc
    # The handler does not ask which side faulted: the way back is the same code.
    .globl sluice_copy_to_user_memory
    .def sluice_copy_to_user_memory; .scl 2; .type 32; .endef
    .set sluice_copy_to_user_memory, sluice_copy_from_user_memory
)");

#elif defined(__i386__)

// bool copy(void* to, const void* from, size_t bytes), the arguments on the stack.
asm(SLUICE_SCOPE_TABLE(copy) R"(
    .globl _sluice_copy_from_user_memory
    .def _sluice_copy_from_user_memory; .scl 2; .type 32; .endef
    .p2align 4
_sluice_copy_from_user_memory:
)" SLUICE_ENTER_FRAME(copy) R"(
    movl 8(%ebp), %edi
    movl 12(%ebp), %esi
    movl 16(%ebp), %ecx
)" SLUICE_ENTER_SCOPE R"(
    rep movsb
)" SLUICE_LEAVE_SCOPE R"(
    movl $1, %eax
    jmp copy_returns
)" SLUICE_TAKE_FAULT(copy) R"(
    xorl %eax, %eax
copy_returns:
)" SLUICE_LEAVE_FRAME R"(
    # The handler does not ask which side faulted: the way back is the same code.
    .globl _sluice_copy_to_user_memory
    .def _sluice_copy_to_user_memory; .scl 2; .type 32; .endef
    .set _sluice_copy_to_user_memory, _sluice_copy_from_user_memory
)");

#else
#error "a copy that survives a fault is needed for this machine"
#endif

// A guarded stretch of code on i686, in assembly, as the WDK's compiler lays it out: a record in the thread's chain of handlers, whose handler
// is the kernel's own _except_handler3, and a scope table. The handler asks the filter, unwinds, and calls the scope's handler with ebp as
// the function had it; esp is where the frame has noted it.
//
//   ebp - 4    scope entered: 0; none: -1         ebp - 16   the record: the next one's address
//   ebp - 8    scope table                        ebp - 20   pointers to the exception (the handler's)
//   ebp - 12   the handler                        ebp - 24   esp to go on with
//
// The image has no list of safe handlers, so the kernel takes any; with IMAGE_DLLCHARACTERISTICS_NO_SEH it would take none. Only
// copy_from_user_memory.cpp and map_locked_pages.cpp include this.
#pragma once

// One scope: filter `1` (every exception), handler `name`_fault. Goes first, in the function's file.
#define SLUICE_SCOPE_TABLE(name)                        \
  "    .section .rdata,\"dr\"\n"                        \
  "    .p2align 2\n" #name                              \
  "_scopes:\n"                                          \
  "    .long -1, " #name "_filter, " #name "_fault\n"   \
  "    .text\n"                                         \
  "    .p2align 4\n" #name                              \
  "_filter:\n"                                          \
  "    movl $1, %eax\n"                                 \
  "    ret\n"

#define SLUICE_ENTER_FRAME(name)        \
  "    pushl %ebp\n"                    \
  "    movl %esp, %ebp\n"               \
  "    pushl $-1\n"                     \
  "    pushl $" #name "_scopes\n"       \
  "    pushl $__except_handler3\n"      \
  "    pushl %fs:0\n"                   \
  "    movl %esp, %fs:0\n"              \
  "    subl $8, %esp\n"                 \
  "    pushl %ebx\n"                    \
  "    pushl %esi\n"                    \
  "    pushl %edi\n"                    \
  "    movl %esp, -24(%ebp)\n"

#define SLUICE_ENTER_SCOPE "    movl $0, -4(%ebp)\n"
#define SLUICE_LEAVE_SCOPE "    movl $-1, -4(%ebp)\n"

// Behind it eax is what the function returns. At `name`_fault the registers are anyone's but ebp.
#define SLUICE_TAKE_FAULT(name) \
  #name                         \
  "_fault:\n"                   \
  "    movl -24(%ebp), %esp\n" SLUICE_LEAVE_SCOPE

#define SLUICE_LEAVE_FRAME         \
  "    movl -16(%ebp), %ecx\n"     \
  "    movl %ecx, %fs:0\n"         \
  "    popl %edi\n"                \
  "    popl %esi\n"                \
  "    popl %ebx\n"                \
  "    leave\n"                    \
  "    ret\n"

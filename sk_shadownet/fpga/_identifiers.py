"""Names that a top function of C++ or a top module of Verilog and VHDL cannot have."""

from __future__ import annotations

import errno
import re
from typing import Any

from sk_shadownet.exceptions import InvalidParameterError

#: Characters of a name: files are named after it, with endings of their own.
LONGEST = 100

#: Keywords of C++ up to 2023.
CPP_WORDS = frozenset(
    "alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t char8_t "
    "class co_await co_return co_yield compl concept const const_cast consteval constexpr constinit "
    "continue decltype default delete do double dynamic_cast else enum explicit export extern false float "
    "for friend goto if inline int long mutable namespace new noexcept not not_eq nullptr operator or or_eq "
    "private protected public register reinterpret_cast requires return short signed sizeof static "
    "static_assert static_cast struct switch template this thread_local throw true try typedef typeid "
    "typename union unsigned using virtual void volatile wchar_t while xor xor_eq".split()
)
#: Headers, name spaces and classes of hls4ml's sources and of the libraries that they stand on; names that
#: its test bench and Python bridge use where they call the top function; functions and macros of C.
HLS_WORDS = frozenset(
    "abi ac ac_channel ac_fixed ac_float ac_int ac_math ac_private ac_std_float ac_types AESL_std alloca "
    "ap_axi_sdata ap_common ap_fixed ap_fixed_base ap_int ap_int_base ap_private ap_shift_reg ap_types "
    "ap_ufixed ap_uint argc argv assert assert_perror atof BIAS biases BUFSIZ BYTE_ORDER C_ARITH cerr "
    "CHAR_IS_SIGNED CHECKPOINT cin CLOCKS_PER_SEC cout CSIGNAL cstr current DATA_PACK_PRAGMA daylight "
    "defines DIV_ROUNDUP e EDEADLK EHWPOISON endl environ EOF EOPNOTSUPP errno EWOULDBLOCK "
    "exception_handler EXIT_FAILURE EXIT_SUCCESS EXPAND_STRING fd_mask fd_set FILE FILENAME_MAX fin "
    "firmware FOPEN_MAX fout fpga_io fpr getdate_err hls hls_math hls_register hls_stream htobe16 htobe32 "
    "htobe64 htole16 htole32 htole64 i ihc iline in in_size INFINITY INLINE inputs isfinite isinf isnan "
    "issubnormal L_ctermid L_cuserid L_tmpnam le16toh le32toh le64toh linux main math math_errhandling MAX "
    "MAXFLOAT MB_CUR_MAX mc_scverify MIN model myproject_axi NAN NFDBITS nnet NULL offsetof out out_size "
    "outputs OVERFLOW P_tmpdir parameters pline pr PRAGMA_DATA_PACK predictions printf RAND_MAX result "
    "RESULTS_LOG RTL_SIM signgam size SIZE_MAX Slong std stderr stdin stdout strdupa STRINGIFY strtok sycl "
    "timezone TMP_MAX top tzname Ulong UNDERFLOW unix va_arg va_copy va_end va_start WCONTINUED weights "
    "WEIGHTS_DIR WEOF WUNTRACED".split()
) | frozenset(errno.errorcode.values())
#: Types of C and of hls4ml; weights, biases, inputs and results of its layers; macros with a family name.
HLS_PATTERN = re.compile(
    r".*_t|[wb]\d+|(input|layer|dense|relu)_?\d+.*|answer|be\d+toh|"
    r"(ac|af|ap|hls|nnet|program_invocation|pthread)_\w*|M_\w+|\w+_(ENDIAN|H_?|WITH_\w+)|"
    r"(AC|ADJ|AESL|AF|ALL|AP|BIN|CLOCK|CLONE|CPU|FD|FE|FL|FP|FX|HLS|HUGE|INT(MAX|PTR|\d*)|LC|MATH|MAX|MIN|MOD|"
    r"NNET|OP|OPS|PTHREAD|PTRDIFF|REF|REL|RENAME|SC|SCHED|SEEK|SIG|SIZE|STA|TIME|TIMER|UINT(MAX|PTR|\d*)|WCHAR|"
    r"WINT)_[A-Z0-9_]*|(SNAN|WEXIT|WIF|WNO|WSTOP|WTERM)[A-Z0-9]*"
)
#: Modules of alkaid, and keywords of SystemVerilog and VHDL, in which capitals count for nothing.
RTL_WORDS = frozenset(
    "abs accept_on access after alias all always always_comb always_ff always_latch and architecture array "
    "assert assign assume assume_guarantee attribute automatic before begin bind binop bins binsof bit "
    "block body break buf buffer bufif0 bufif1 bus byte case casex casez cell chandle checker class "
    "clocking cmos component config configuration const constant constraint context continue cover "
    "covergroup coverpoint cross deassign default defparam design disable disconnect dist do downto edge "
    "else elsif end endcase endchecker endclass endclocking endconfig endfunction endgenerate endgroup "
    "endinterface endmodule endpackage endprimitive endprogram endproperty endsequence endspecify endtable "
    "endtask entity enum event eventually exit expect export extends extern fairness file final first_match "
    "for force foreach forever fork forkjoin function generate generic genvar global group guarded highz0 "
    "highz1 if iff ifnone ignore_bins illegal_bins implements implies import impure in incdir include "
    "inertial initial inout input inside instance int integer interconnect interface intersect is join "
    "join_any join_none label large let liblist library linkage literal local localparam logic longint "
    "lookup_table loop macromodule map matches medium mod modport module multiplier mux nand negative "
    "negedge nettype new next nexttime nmos nor noshowcancelled not notif0 notif1 null of on open or others "
    "out output package packed parameter pmos port posedge postponed primitive priority procedure process "
    "program property protected pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure "
    "rand randc randcase randsequence range rcmos real realtime record ref reg register reject reject_on "
    "release rem repeat report restrict restrict_guarantee return rnmos rol ror rpmos rtran rtranif0 "
    "rtranif1 s_always s_eventually s_nexttime s_until s_until_with scalared select sequence severity "
    "shared shift_adder shortint shortreal showcancelled signal signed sla sll small soft solve specify "
    "specparam sra srl static string strong strong0 strong1 struct subtype super supply0 supply1 "
    "sync_accept_on sync_reject_on table tagged task then this throughout time timeprecision timeunit to "
    "tran tranif0 tranif1 transport tri tri0 tri1 triand trior trireg type typedef unaffected union unique "
    "unique0 units unsigned until until_with untyped use uwire var variable vectored virtual vmode void "
    "vpkg vprop vunit wait wait_order wand weak weak0 weak1 when while wildcard wire with within wor work "
    "xnor xor ternary_adder".split()
)


def require_top_name(name: Any, *, is_rtl: bool) -> None:
    """Refuse a ``project_name`` that the backend's language, or what is written beside it, uses itself."""
    if not isinstance(name, str) or not re.fullmatch(rf"[A-Za-z][A-Za-z0-9_]{{0,{LONGEST - 1}}}", name):
        raise InvalidParameterError(
            f"project_name={name!r} cannot name a module; use at most {LONGEST} letters, digits and "
            "underscores, the first a letter."
        )
    if is_rtl:
        fits = name.lower() not in RTL_WORDS and "__" not in name and not name.endswith("_")
        user = "Verilog, VHDL or alkaid"
    else:
        fits = name not in CPP_WORDS | HLS_WORDS and not HLS_PATTERN.fullmatch(name)
        user = "C++ or hls4ml's sources"
    if not fits:
        raise InvalidParameterError(
            f"project_name={name!r} is a word that {user} use themselves; take another, such as "
            f"{f'my_{name}'[:LONGEST].rstrip('_')!r} or 'shadownet'."
        )

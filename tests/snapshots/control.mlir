#tbaa_root = #llvm.tbaa_root<id = "clef">
#tbaa_type_desc = #llvm.tbaa_type_desc<id = "count", members = {<#tbaa_root, 0>}>
#tbaa_type_desc1 = #llvm.tbaa_type_desc<id = "length", members = {<#tbaa_root, 0>}>
#tbaa_type_desc2 = #llvm.tbaa_type_desc<id = "element66", members = {<#tbaa_root, 0>}>
#tbaa_tag = #llvm.tbaa_tag<base_type = #tbaa_type_desc, access_type = #tbaa_type_desc, offset = 0>
#tbaa_tag1 = #llvm.tbaa_tag<base_type = #tbaa_type_desc1, access_type = #tbaa_type_desc1, offset = 0>
#tbaa_tag2 = #llvm.tbaa_tag<base_type = #tbaa_type_desc2, access_type = #tbaa_type_desc2, offset = 0>
module attributes {llvm.data_layout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128", llvm.target_triple = "x86_64-unknown-linux-gnu"} {
  llvm.func internal fastcc @clef.main(%arg0: !llvm.ptr) -> i32 attributes {no_unwind} {
    llvm.br ^bb1
  ^bb1:  // pred: ^bb0
    %0 = llvm.mlir.constant(27 : i32) : i32
    %1 = llvm.call fastcc @clef.collatz(%0) : (i32) -> i32
    %2 = llvm.mlir.constant(256 : i32) : i32
    %3 = llvm.srem %1, %2 : i32
    llvm.return %3 : i32
  }
  llvm.func internal fastcc @clef.collatz(%arg0: i32) -> i32 attributes {no_unwind} {
    %0 = llvm.mlir.constant(1 : i32) : i32
    %1 = llvm.alloca %0 x i32 : (i32) -> !llvm.ptr
    %2 = llvm.mlir.constant(1 : i32) : i32
    %3 = llvm.alloca %2 x i32 : (i32) -> !llvm.ptr
    llvm.br ^bb1
  ^bb1:  // pred: ^bb0
    llvm.store %arg0, %1 : i32, !llvm.ptr
    %4 = llvm.mlir.constant(0 : i32) : i32
    llvm.store %4, %3 : i32, !llvm.ptr
    llvm.br ^bb2
  ^bb2:  // 2 preds: ^bb1, ^bb7
    %5 = llvm.load %1 : !llvm.ptr -> i32
    %6 = llvm.mlir.constant(1 : i32) : i32
    %7 = llvm.icmp "ne" %5, %6 : i32
    llvm.cond_br %7, ^bb3, ^bb4
  ^bb3:  // pred: ^bb2
    %8 = llvm.load %1 : !llvm.ptr -> i32
    %9 = llvm.mlir.constant(2 : i32) : i32
    %10 = llvm.srem %8, %9 : i32
    %11 = llvm.mlir.constant(0 : i32) : i32
    %12 = llvm.icmp "eq" %10, %11 : i32
    llvm.cond_br %12, ^bb5, ^bb6
  ^bb4:  // pred: ^bb2
    %13 = llvm.load %3 : !llvm.ptr -> i32
    llvm.return %13 : i32
  ^bb5:  // pred: ^bb3
    %14 = llvm.load %1 : !llvm.ptr -> i32
    %15 = llvm.mlir.constant(2 : i32) : i32
    %16 = llvm.sdiv %14, %15 : i32
    llvm.br ^bb7(%16 : i32)
  ^bb6:  // pred: ^bb3
    %17 = llvm.mlir.constant(3 : i32) : i32
    %18 = llvm.load %1 : !llvm.ptr -> i32
    %19 = llvm.mul %17, %18 : i32
    %20 = llvm.mlir.constant(1 : i32) : i32
    %21 = llvm.add %19, %20 : i32
    llvm.br ^bb7(%21 : i32)
  ^bb7(%22: i32):  // 2 preds: ^bb5, ^bb6
    llvm.store %22, %1 : i32, !llvm.ptr
    %23 = llvm.load %3 : !llvm.ptr -> i32
    %24 = llvm.mlir.constant(1 : i32) : i32
    %25 = llvm.add %23, %24 : i32
    llvm.store %25, %3 : i32, !llvm.ptr
    llvm.br ^bb2
  }
  llvm.func @main(%arg0: i32, %arg1: !llvm.ptr) -> i32 attributes {no_unwind} {
    llvm.call @clef_start(%arg0, %arg1) : (i32, !llvm.ptr) -> ()
    %0 = llvm.call @clef_heap() : () -> !llvm.ptr
    %1 = llvm.mlir.addressof @clef.heap : !llvm.ptr
    llvm.store %0, %1 : !llvm.ptr, !llvm.ptr
    %2 = llvm.call @clef_args(%arg0, %arg1) : (i32, !llvm.ptr) -> !llvm.ptr
    %3 = llvm.call fastcc @clef.main(%2) : (!llvm.ptr) -> i32
    llvm.call fastcc @clef.drop.array.6(%2) : (!llvm.ptr) -> ()
    %4 = llvm.call @clef_finish(%3) : (i32) -> i32
    llvm.return %4 : i32
  }
  llvm.func @clef_start(i32, !llvm.ptr) attributes {no_unwind}
  llvm.mlir.global internal @clef.heap() {addr_space = 0 : i32, alignment = 8 : i64} : !llvm.ptr {
    %0 = llvm.mlir.zero : !llvm.ptr
    llvm.return %0 : !llvm.ptr
  }
  llvm.func @clef_heap() -> !llvm.ptr attributes {no_unwind}
  llvm.func @clef_args(i32, !llvm.ptr) -> !llvm.ptr attributes {no_unwind}
  llvm.func @clef_finish(i32) -> i32 attributes {no_unwind}
  llvm.mlir.global internal constant @clef.closure_drops() {addr_space = 0 : i32, alignment = 8 : i64} : !llvm.array<0 x ptr> {
    %0 = llvm.mlir.undef : !llvm.array<0 x ptr>
    llvm.return %0 : !llvm.array<0 x ptr>
  }
  llvm.func internal fastcc @clef.drop.array.6(%arg0: !llvm.ptr) attributes {no_unwind} {
    %0 = llvm.load %arg0 {tbaa = [#tbaa_tag]} : !llvm.ptr -> i32
    %1 = llvm.mlir.constant(1 : i32) : i32
    %2 = llvm.icmp "eq" %0, %1 : i32
    llvm.cond_br %2, ^bb1, ^bb3
  ^bb1:  // pred: ^bb0
    llvm.call fastcc @clef.free.array.6(%arg0) : (!llvm.ptr) -> ()
    llvm.br ^bb2
  ^bb2:  // 3 preds: ^bb1, ^bb3, ^bb4
    llvm.return
  ^bb3:  // pred: ^bb0
    %3 = llvm.icmp "sgt" %0, %1 : i32
    llvm.cond_br %3, ^bb4, ^bb2
  ^bb4:  // pred: ^bb3
    %4 = llvm.mlir.constant(-1 : i32) : i32
    %5 = llvm.add %0, %4 : i32
    llvm.store %5, %arg0 {tbaa = [#tbaa_tag]} : i32, !llvm.ptr
    llvm.br ^bb2
  }
  llvm.func internal fastcc @clef.free.array.6(%arg0: !llvm.ptr) attributes {no_unwind, passthrough = ["noinline"]} {
    %0 = llvm.getelementptr %arg0[8] {noWrapFlags = 1 : i32} : (!llvm.ptr) -> !llvm.ptr, i8
    %1 = llvm.load %0 {tbaa = [#tbaa_tag1]} : !llvm.ptr -> i64
    %2 = llvm.getelementptr %arg0[16] {noWrapFlags = 1 : i32} : (!llvm.ptr) -> !llvm.ptr, i8
    %3 = llvm.mlir.constant(0 : i64) : i64
    llvm.br ^bb1(%3 : i64)
  ^bb1(%4: i64):  // 2 preds: ^bb0, ^bb2
    %5 = llvm.icmp "slt" %4, %1 : i64
    llvm.cond_br %5, ^bb2, ^bb3
  ^bb2:  // pred: ^bb1
    %6 = llvm.getelementptr %2[%4] {noWrapFlags = 1 : i32} : (!llvm.ptr, i64) -> !llvm.ptr, !llvm.ptr
    %7 = llvm.load %6 {tbaa = [#tbaa_tag2]} : !llvm.ptr -> !llvm.ptr
    llvm.call fastcc @clef.drop.string.5(%7) : (!llvm.ptr) -> ()
    %8 = llvm.mlir.constant(1 : i64) : i64
    %9 = llvm.add %4, %8 : i64
    llvm.br ^bb1(%9 : i64)
  ^bb3:  // pred: ^bb1
    %10 = llvm.mlir.constant(8 : i64) : i64
    %11 = llvm.mul %1, %10 : i64
    %12 = llvm.mlir.constant(16 : i64) : i64
    %13 = llvm.add %11, %12 : i64
    llvm.call @clef_free(%arg0, %13) : (!llvm.ptr, i64) -> ()
    llvm.return
  }
  llvm.func @clef_free(!llvm.ptr, i64) attributes {no_unwind}
  llvm.func internal fastcc @clef.drop.string.5(%arg0: !llvm.ptr) attributes {no_unwind} {
    %0 = llvm.load %arg0 {tbaa = [#tbaa_tag]} : !llvm.ptr -> i32
    %1 = llvm.mlir.constant(1 : i32) : i32
    %2 = llvm.icmp "eq" %0, %1 : i32
    llvm.cond_br %2, ^bb1, ^bb3
  ^bb1:  // pred: ^bb0
    llvm.call fastcc @clef.free.string.5(%arg0) : (!llvm.ptr) -> ()
    llvm.br ^bb2
  ^bb2:  // 3 preds: ^bb1, ^bb3, ^bb4
    llvm.return
  ^bb3:  // pred: ^bb0
    %3 = llvm.icmp "sgt" %0, %1 : i32
    llvm.cond_br %3, ^bb4, ^bb2
  ^bb4:  // pred: ^bb3
    %4 = llvm.mlir.constant(-1 : i32) : i32
    %5 = llvm.add %0, %4 : i32
    llvm.store %5, %arg0 {tbaa = [#tbaa_tag]} : i32, !llvm.ptr
    llvm.br ^bb2
  }
  llvm.func internal fastcc @clef.free.string.5(%arg0: !llvm.ptr) attributes {no_unwind, passthrough = ["noinline"]} {
    %0 = llvm.getelementptr %arg0[8] {noWrapFlags = 1 : i32} : (!llvm.ptr) -> !llvm.ptr, i8
    %1 = llvm.load %0 {tbaa = [#tbaa_tag1]} : !llvm.ptr -> i64
    %2 = llvm.mlir.constant(17 : i64) : i64
    %3 = llvm.add %1, %2 : i64
    llvm.call @clef_free(%arg0, %3) : (!llvm.ptr, i64) -> ()
    llvm.return
  }
}

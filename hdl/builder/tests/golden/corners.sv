// Operators, their widths and signs.
// Every result keeps all bits unless it says otherwise.
module arithmetic (
    // Unsigned operands
    input  logic [7:0]         a,
    input  logic [7:0]         b,
    // Signed operands
    input  logic signed [7:0]  x,
    input  logic signed [15:0] y,
    output logic [8:0]         sum,
    output logic signed [8:0]  difference,
    output logic signed [23:0] product,
    output logic signed [11:0] scaled,
    output logic signed [7:0]  clipped,
    output logic [4:0]         flags
);
  wire signed [23:0] biased_product = x * y;
  // Product with the operand added once more
  wire signed [24:0] biased = {biased_product[23], biased_product} + {{17{x[7]}}, x};
  wire signed [16:0] clipped_sum = {{9{x[7]}}, x} + {y[15], y};
  wire signed [16:0] clipped_shifted = clipped_sum >>> {29'd0, b[2:0]};
  wire [9:0] clipped_shifted_16_7 = clipped_shifted[16:7];
  wire signed [15:0] flags_wide = {{8{x[7]}}, x};

  assign sum = a + b;
  assign difference = a - b;
  assign product = x * y;
  assign scaled = ((&biased[24:15]) || !(|biased[24:15])) ? biased[15:4] : biased[24] ? 12'sh800 : 12'sd2047;
  assign clipped = ((&clipped_shifted_16_7) || !(|clipped_shifted_16_7)) ? clipped_shifted[7:0] : clipped_shifted[16] ? 8'sh80 : 8'sd127;
  assign flags = {a < b, flags_wide < y, x >= (-8'sd5), (|a) && (b != 8'd3), ^(a[7:4] ^ b[3:0])};

  // Bits that this module does not need
  wire unused = &{1'b0, biased[3:0]};
endmodule

module corners (
    input  logic         clk,
    input  logic         rst,
    input  logic [511:0] buf_,
    output logic [8:0]   reg_,
    output logic [299:0] wide,
    output logic         parity
);
  logic [299:0] case_;
  logic [8:0] left_sum;
  logic signed [8:0] left_difference;
  logic signed [23:0] left_product;
  logic signed [11:0] left_scaled;
  logic signed [7:0] left_clipped;
  logic [4:0] left_flags;
  logic [8:0] right_sum;
  logic signed [8:0] right_difference;
  logic signed [23:0] right_product;
  logic signed [11:0] right_scaled;
  logic signed [7:0] right_clipped;
  logic [4:0] right_flags;

  assign reg_ = (left_sum < right_sum) ? right_sum : left_sum;
  assign wide = case_;
  assign parity = ^right_flags;

  always @(posedge clk) begin
    if (rst) begin
      case_ <= 300'd0;
    end else begin
      case_ <= buf_[299:0] + (case_ >> 7);
    end
  end

  arithmetic left (
    .a(buf_[15:8]),
    .b(8'd1),
    .x(buf_[23:16]),
    .y(-16'sd300),
    .sum(left_sum),
    .difference(left_difference),
    .product(left_product),
    .scaled(left_scaled),
    .clipped(left_clipped),
    .flags(left_flags)
  );
  arithmetic right (
    .a(buf_[15:8]),
    .b(8'd2),
    .x(buf_[23:16]),
    .y(-16'sd300),
    .sum(right_sum),
    .difference(right_difference),
    .product(right_product),
    .scaled(right_scaled),
    .clipped(right_clipped),
    .flags(right_flags)
  );

  // Bits that this module does not need
  wire unused = &{1'b0, buf_[511:300], left_difference, left_product, left_scaled, left_clipped, left_flags, right_difference, right_product, right_scaled, right_clipped};
endmodule

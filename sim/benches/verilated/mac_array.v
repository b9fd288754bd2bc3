// The design that is timed: a weight-stationary systolic array of `SIZE x `SIZE multiply-accumulate
// cells, signed 8-bit operands, 32-bit sums.
module mac_cell (
    input  wire               clk,
    input  wire               reset,
    input  wire               load,
    input  wire signed [7:0]  activation_in,
    input  wire signed [31:0] sum_in,
    input  wire signed [7:0]  weight_in,
    output reg  signed [7:0]  activation_out,
    output reg  signed [31:0] sum_out,
    output reg  signed [7:0]  weight_out
);
    reg signed [15:0] product;
    wire signed [31:0] product_extended = {{16{product[15]}}, product};

    always @(posedge clk) begin
        if (reset) begin
            activation_out <= 8'sd0;
            sum_out <= 32'sd0;
            weight_out <= 8'sd0;
            product <= 16'sd0;
        end else begin
            activation_out <= activation_in;
            product <= activation_in * weight_out;
            sum_out <= sum_in + product_extended;
            if (load) weight_out <= weight_in;
        end
    end
endmodule

module mac_array (
    input  wire                clk,
    input  wire                reset,
    input  wire                load,
    input  wire [`SIZE*8-1:0]  activations,
    input  wire [`SIZE*8-1:0]  weights,
    output wire [`SIZE*32-1:0] sums
);
    wire signed [7:0]  activation [0:`SIZE-1][0:`SIZE];
    wire signed [31:0] sum        [0:`SIZE][0:`SIZE-1];
    wire signed [7:0]  weight     [0:`SIZE][0:`SIZE-1];

    genvar row, column;
    generate
        for (row = 0; row < `SIZE; row = row + 1) begin : rows
            assign activation[row][0] = activations[row*8 +: 8];
            for (column = 0; column < `SIZE; column = column + 1) begin : columns
                mac_cell cell_ (
                    .clk(clk),
                    .reset(reset),
                    .load(load),
                    .activation_in(activation[row][column]),
                    .sum_in(sum[row][column]),
                    .weight_in(weight[row][column]),
                    .activation_out(activation[row][column+1]),
                    .sum_out(sum[row+1][column]),
                    .weight_out(weight[row+1][column])
                );
            end
        end
        for (column = 0; column < `SIZE; column = column + 1) begin : edges
            assign sum[0][column] = 32'sd0;
            assign weight[0][column] = weights[column*8 +: 8];
            assign sums[column*32 +: 32] = sum[`SIZE][column];
        end
    endgenerate
endmodule

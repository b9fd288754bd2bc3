// Round-robin arbiter of 2 requesters
module round_robin_arbiter_n2 (
    input  logic       clk,
    input  logic       rst,
    // A bit for each requester
    input  logic [1:0] request,
    // The grant of this cycle is used: priority moves on
    input  logic       accept,
    // Some request is granted
    output logic       valid,
    // The granted requester's number
    output logic       index,
    // The granted requester's bit
    output logic [1:0] grant
);
  // Requesters behind the one served last
  logic [1:0] after_last;

  wire [1:0] preferred = request & after_last;
  wire [1:0] candidates = (preferred == 2'd0) ? request : preferred;
  wire [1:0] lowest_candidate = {candidates[1] && !candidates[0], candidates[0]};
  wire valid_or = candidates[0] || candidates[1];

  assign valid = valid_or;
  assign index = !candidates[0];
  assign grant = lowest_candidate;

  always @(posedge clk) begin
    if (rst) begin
      after_last <= 2'd0;
    end else if (accept && valid_or) begin
      after_last <= {candidates[0], 1'b0};
    end
  end
endmodule

// Merges 2 streams, round robin
module stream_merge_n2_w12 (
    input  logic        clk,
    input  logic        rst,
    // Payload is there
    input  logic        sources_0_valid,
    // Payload is taken in this cycle if it is valid
    output logic        sources_0_ready,
    // The word
    input  logic [11:0] sources_0_payload,
    // Payload is there
    input  logic        sources_1_valid,
    // Payload is taken in this cycle if it is valid
    output logic        sources_1_ready,
    // The word
    input  logic [11:0] sources_1_payload,
    // Payload is there
    output logic        sink_valid,
    // Payload is taken in this cycle if it is valid
    input  logic        sink_ready,
    // The word
    output logic [11:0] sink_payload,
    // Which stream the word offered is from
    output logic        chosen
);
  logic arbiter_valid;
  logic arbiter_index;
  logic [1:0] arbiter_grant;
  // A word was offered and not yet taken
  logic locked;
  logic locked_index;

  wire [1:0] requests = {sources_1_valid, sources_0_valid};
  wire chosen_index = locked ? locked_index : arbiter_index;
  logic [11:0] sink_payload_lookup;
  always_comb begin
    case (chosen_index)
      1'b0: sink_payload_lookup = sources_0_payload;
      default: sink_payload_lookup = sources_1_payload;
    endcase
  end

  assign sources_0_ready = sink_ready && (locked || arbiter_valid) && (chosen_index == 1'b0);
  assign sources_1_ready = sink_ready && (locked || arbiter_valid) && (chosen_index == 1'b1);
  assign sink_valid = locked || arbiter_valid;
  assign sink_payload = sink_payload_lookup;
  assign chosen = chosen_index;

  always @(posedge clk) begin
    if (rst) begin
      locked <= 1'b0;
      locked_index <= 1'b0;
    end else begin
      locked <= sink_valid && !sink_ready;
      locked_index <= chosen_index;
    end
  end

  round_robin_arbiter_n2 arbiter (
    .clk(clk),
    .rst(rst),
    .request(requests),
    .accept(!locked),
    .valid(arbiter_valid),
    .index(arbiter_index),
    .grant(arbiter_grant)
  );

  // Bits that this module does not need
  wire unused = &{1'b0, arbiter_grant};
endmodule

// Queue of 4 words of 12 bits in distributed memory
module fifo_w12_d4 (
    input  logic        clk,
    input  logic        rst,
    // Payload is there
    input  logic        push_valid,
    // Payload is taken in this cycle if it is valid
    output logic        push_ready,
    // The word
    input  logic [11:0] push_payload,
    // Payload is there
    output logic        pop_valid,
    // Payload is taken in this cycle if it is valid
    input  logic        pop_ready,
    // The word
    output logic [11:0] pop_payload,
    // Words that are in the memory
    output logic [2:0]  level
);
  logic [1:0] write_pointer;
  logic [1:0] read_pointer;
  logic [2:0] level_reg;
  logic [11:0] words_data;

  logic [11:0] words [0:3];

  wire write_pointer_and = push_valid && push_ready;
  wire read_pointer_and = pop_valid && pop_ready;

  assign push_ready = level_reg != 3'd4;
  assign pop_valid = level_reg != 3'd0;
  assign pop_payload = words_data;
  assign level = level_reg;

  always @(posedge clk) begin
    if (rst) begin
      write_pointer <= 2'd0;
    end else if (write_pointer_and) begin
      write_pointer <= (write_pointer == 2'd3) ? 2'd0 : write_pointer + 2'd1;
    end
  end
  always @(posedge clk) begin
    if (rst) begin
      read_pointer <= 2'd0;
    end else if (read_pointer_and) begin
      read_pointer <= (read_pointer == 2'd3) ? 2'd0 : read_pointer + 2'd1;
    end
  end
  always @(posedge clk) begin
    if (rst) begin
      level_reg <= 3'd0;
    end else if (write_pointer_and && !read_pointer_and) begin
      level_reg <= level_reg + 3'd1;
    end else if (read_pointer_and && !write_pointer_and) begin
      level_reg <= level_reg - 3'd1;
    end
  end

  always @(posedge clk) begin
    if (push_valid && push_ready) begin
      words[write_pointer] <= push_payload;
    end
  end
  assign words_data = words[read_pointer];
endmodule

// Stream register: a word at the output, and one that came in while the output was stopped
module skid_buffer_w12 (
    input  logic        clk,
    input  logic        rst,
    // Payload is there
    input  logic        push_valid,
    // Payload is taken in this cycle if it is valid
    output logic        push_ready,
    // The word
    input  logic [11:0] push_payload,
    // Payload is there
    output logic        pop_valid,
    // Payload is taken in this cycle if it is valid
    input  logic        pop_ready,
    // The word
    output logic [11:0] pop_payload
);
  logic out_valid;
  logic [11:0] out;
  logic held_valid;
  logic [11:0] held;

  wire moves = pop_ready || !out_valid;

  assign push_ready = !held_valid;
  assign pop_valid = out_valid;
  assign pop_payload = out;

  always @(posedge clk) begin
    if (rst) begin
      out_valid <= 1'b0;
      held_valid <= 1'b0;
    end else if (moves) begin
      out_valid <= held_valid || push_valid;
      held_valid <= 1'b0;
    end else if (push_valid && push_ready) begin
      held_valid <= 1'b1;
    end
  end
  always @(posedge clk) begin
    if (moves) begin
      out <= held_valid ? held : push_payload;
    end else if (push_valid && push_ready) begin
      held <= push_payload;
    end
  end
endmodule

// Queue of 8 words of 12 bits from clock domain main to link
module async_fifo_w12_d8_main_to_link (
    input  logic        clk,
    input  logic        rst,
    input  logic        link_clk,
    input  logic        link_rst,
    // Payload is there
    input  logic        push_valid,
    // Payload is taken in this cycle if it is valid
    output logic        push_ready,
    // The word
    input  logic [11:0] push_payload,
    // Payload is there
    output logic        pop_valid,
    // Payload is taken in this cycle if it is valid
    input  logic        pop_ready,
    // The word
    output logic [11:0] pop_payload
);
  logic [3:0] write_pointer;
  logic [3:0] write_gray;
  logic [3:0] read_pointer;
  logic [3:0] read_gray;
  (* ASYNC_REG = "TRUE" *) logic [3:0] read_gray_meta;
  (* ASYNC_REG = "TRUE" *) logic [3:0] read_gray_synced;
  (* ASYNC_REG = "TRUE" *) logic [3:0] write_gray_meta;
  (* ASYNC_REG = "TRUE" *) logic [3:0] write_gray_synced;
  logic [11:0] words_data;

  logic [11:0] words [0:7];

  wire [3:0] write_pointer_next = write_pointer + 4'd1;
  wire [3:0] read_pointer_next = read_pointer + 4'd1;

  assign push_ready = write_gray != {~read_gray_synced[3:2], read_gray_synced[1:0]};
  assign pop_valid = read_gray != write_gray_synced;
  assign pop_payload = words_data;

  always @(posedge clk) begin
    if (rst) begin
      write_pointer <= 4'd0;
      write_gray <= 4'd0;
    end else if (push_valid && push_ready) begin
      write_pointer <= write_pointer_next;
      write_gray <= write_pointer_next ^ {1'b0, write_pointer_next[3:1]};
    end
  end
  always @(posedge link_clk) begin
    if (link_rst) begin
      read_pointer <= 4'd0;
      read_gray <= 4'd0;
    end else if (pop_valid && pop_ready) begin
      read_pointer <= read_pointer_next;
      read_gray <= read_pointer_next ^ {1'b0, read_pointer_next[3:1]};
    end
  end
  always @(posedge clk) begin
    if (rst) begin
      read_gray_meta <= 4'd0;
      read_gray_synced <= 4'd0;
    end else begin
      read_gray_meta <= read_gray;
      read_gray_synced <= read_gray_meta;
    end
  end
  always @(posedge link_clk) begin
    if (link_rst) begin
      write_gray_meta <= 4'd0;
      write_gray_synced <= 4'd0;
    end else begin
      write_gray_meta <= write_gray;
      write_gray_synced <= write_gray_meta;
    end
  end

  always @(posedge clk) begin
    if (push_valid && push_ready) begin
      words[write_pointer[2:0]] <= push_payload;
    end
  end
  assign words_data = words[read_pointer[2:0]];
endmodule

// Queue of 512 words of 12 bits in block memory, with a word more at the output
module block_fifo_w12_d512_link (
    input  logic        link_clk,
    input  logic        link_rst,
    // Payload is there
    input  logic        push_valid,
    // Payload is taken in this cycle if it is valid
    output logic        push_ready,
    // The word
    input  logic [11:0] push_payload,
    // Payload is there
    output logic        pop_valid,
    // Payload is taken in this cycle if it is valid
    input  logic        pop_ready,
    // The word
    output logic [11:0] pop_payload,
    // Words that are in the memory
    output logic [9:0]  level
);
  logic [8:0] write_pointer;
  logic [8:0] read_pointer;
  logic [9:0] level_reg;
  // The memory's read data holds a word
  logic out_valid;
  logic [11:0] words_data;

  logic [11:0] words [0:511];

  wire fetch = (level_reg != 10'd0) && (!out_valid || pop_ready);
  wire write_pointer_and = push_valid && push_ready;

  assign push_ready = level_reg != 10'd512;
  assign pop_valid = out_valid;
  assign pop_payload = words_data;
  assign level = level_reg;

  always @(posedge link_clk) begin
    if (link_rst) begin
      write_pointer <= 9'd0;
    end else if (write_pointer_and) begin
      write_pointer <= (write_pointer == 9'd511) ? 9'd0 : write_pointer + 9'd1;
    end
  end
  always @(posedge link_clk) begin
    if (link_rst) begin
      read_pointer <= 9'd0;
    end else if (fetch) begin
      read_pointer <= (read_pointer == 9'd511) ? 9'd0 : read_pointer + 9'd1;
    end
  end
  always @(posedge link_clk) begin
    if (link_rst) begin
      level_reg <= 10'd0;
    end else if (write_pointer_and && !fetch) begin
      level_reg <= level_reg + 10'd1;
    end else if (fetch && !write_pointer_and) begin
      level_reg <= level_reg - 10'd1;
    end
  end
  always @(posedge link_clk) begin
    if (link_rst) begin
      out_valid <= 1'b0;
    end else if (fetch) begin
      out_valid <= 1'b1;
    end else if (pop_ready) begin
      out_valid <= 1'b0;
    end
  end

  always @(posedge link_clk) begin
    if (push_valid && push_ready) begin
      words[write_pointer] <= push_payload;
    end
  end
  always @(posedge link_clk) begin
    if (fetch) begin
      words_data <= words[read_pointer];
    end
  end
endmodule

module streams (
    input  logic              clk,
    input  logic              rst,
    input  logic              link_clk,
    input  logic              link_rst,
    // Payload is there
    input  logic              sources_0_valid,
    // Payload is taken in this cycle if it is valid
    output logic              sources_0_ready,
    // Where to
    input  logic [5:0]        sources_0_payload_destination,
    // How much
    input  logic signed [4:0] sources_0_payload_credit,
    input  logic              sources_0_payload_last,
    // Payload is there
    input  logic              sources_1_valid,
    // Payload is taken in this cycle if it is valid
    output logic              sources_1_ready,
    // Where to
    input  logic [5:0]        sources_1_payload_destination,
    // How much
    input  logic signed [4:0] sources_1_payload_credit,
    input  logic              sources_1_payload_last,
    // Payload is there
    output logic              sink_valid,
    // Payload is taken in this cycle if it is valid
    input  logic              sink_ready,
    // The word
    output logic [11:0]       sink_payload
);
  logic merge_sources_0_ready;
  logic merge_sources_1_ready;
  logic merge_sink_valid;
  logic [11:0] merge_sink_payload;
  logic merge_chosen;
  logic queue_push_ready;
  logic queue_pop_valid;
  logic [11:0] queue_pop_payload;
  logic [2:0] queue_level;
  logic queue_out_ready;
  logic register_push_ready;
  logic register_pop_valid;
  logic [11:0] register_pop_payload;
  logic register_out_ready;
  logic cross_push_ready;
  logic cross_pop_valid;
  logic [11:0] cross_pop_payload;
  logic store_push_ready;
  logic store_pop_valid;
  logic [11:0] store_pop_payload;
  logic [9:0] store_level;

  wire [11:0] queue_push_payload_joined = {sources_0_payload_destination, sources_0_payload_credit, sources_0_payload_last};
  wire [11:0] register_push_payload_joined = {sources_1_payload_destination, sources_1_payload_credit, sources_1_payload_last};

  assign sources_0_ready = queue_push_ready;
  assign sources_1_ready = register_push_ready;
  assign sink_valid = store_pop_valid;
  assign sink_payload = store_pop_payload;
  assign queue_out_ready = merge_sources_0_ready;
  assign register_out_ready = merge_sources_1_ready;

  stream_merge_n2_w12 merge (
    .clk(clk),
    .rst(rst),
    .sources_0_valid(queue_pop_valid),
    .sources_0_ready(merge_sources_0_ready),
    .sources_0_payload(queue_pop_payload),
    .sources_1_valid(register_pop_valid),
    .sources_1_ready(merge_sources_1_ready),
    .sources_1_payload(register_pop_payload),
    .sink_valid(merge_sink_valid),
    .sink_ready(cross_push_ready),
    .sink_payload(merge_sink_payload),
    .chosen(merge_chosen)
  );
  fifo_w12_d4 queue (
    .clk(clk),
    .rst(rst),
    .push_valid(sources_0_valid),
    .push_ready(queue_push_ready),
    .push_payload(queue_push_payload_joined),
    .pop_valid(queue_pop_valid),
    .pop_ready(queue_out_ready),
    .pop_payload(queue_pop_payload),
    .level(queue_level)
  );
  skid_buffer_w12 register (
    .clk(clk),
    .rst(rst),
    .push_valid(sources_1_valid),
    .push_ready(register_push_ready),
    .push_payload(register_push_payload_joined),
    .pop_valid(register_pop_valid),
    .pop_ready(register_out_ready),
    .pop_payload(register_pop_payload)
  );
  async_fifo_w12_d8_main_to_link cross_ (
    .clk(clk),
    .rst(rst),
    .link_clk(link_clk),
    .link_rst(link_rst),
    .push_valid(merge_sink_valid),
    .push_ready(cross_push_ready),
    .push_payload(merge_sink_payload),
    .pop_valid(cross_pop_valid),
    .pop_ready(store_push_ready),
    .pop_payload(cross_pop_payload)
  );
  block_fifo_w12_d512_link store (
    .link_clk(link_clk),
    .link_rst(link_rst),
    .push_valid(cross_pop_valid),
    .push_ready(store_push_ready),
    .push_payload(cross_pop_payload),
    .pop_valid(store_pop_valid),
    .pop_ready(sink_ready),
    .pop_payload(store_pop_payload),
    .level(store_level)
  );

  // Bits that this module does not need
  wire unused = &{1'b0, merge_chosen, queue_level, store_level};
endmodule

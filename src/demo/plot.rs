//! Plots as SVG, for the report.

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const SIZE: (u32, u32) = (760, 320);
const LEGEND_HEIGHT: i32 = 48;
const FONT: &str = "sans-serif";
const COLOURS: [RGBColor; 6] = [
    RGBColor(68, 119, 170),
    RGBColor(204, 187, 68),
    RGBColor(238, 102, 119),
    RGBColor(34, 136, 51),
    RGBColor(102, 204, 238),
    RGBColor(170, 51, 119),
];

/// Bars in groups: one group for each label, one bar in it for each series.
pub struct GroupedBars<'a> {
    /// Title.
    pub title: &'a str,
    /// Names of the groups.
    pub groups: Vec<&'a str>,
    /// Name of each series and its value in each group, from 0 to 100.
    pub series: Vec<(String, Vec<f64>)>,
}

impl GroupedBars<'_> {
    /// The plot as an SVG element.
    pub fn to_svg(&self) -> Result<String> {
        draw(|area| {
            let (plot, legend) = area.split_vertically(SIZE.1 as i32 - LEGEND_HEIGHT);
            let groups = self.groups.len() as f64;
            let mut chart = ChartBuilder::on(&plot)
                .caption(self.title, (FONT, 16))
                .margin(8)
                .x_label_area_size(20)
                .y_label_area_size(40)
                .build_cartesian_2d(0.0..groups, 0.0..100.0)?;
            let percent = |y: &f64| format!("{y:.0}");
            chart
                .configure_mesh()
                .disable_x_mesh()
                .disable_x_axis()
                .y_label_formatter(&percent)
                .y_desc("%")
                .draw()?;
            let width = 0.8 / self.series.len().max(1) as f64;
            for (index, (_, values)) in self.series.iter().enumerate() {
                let colour = COLOURS[index % COLOURS.len()];
                chart.draw_series(values.iter().enumerate().map(|(group, &value)| {
                    let left = group as f64 + 0.1 + width * index as f64;
                    Rectangle::new([(left, 0.0), (left + 0.9 * width, value)], colour.filled())
                }))?;
            }
            let below = TextStyle::from((FONT, 13)).pos(Pos::new(HPos::Center, VPos::Top));
            for (group, name) in self.groups.iter().enumerate() {
                let (x, y) = chart.backend_coord(&(group as f64 + 0.5, 0.0));
                area.draw_text(name, &below, (x, y + 5))?;
            }
            draw_legend(&legend, self.series.iter().map(|(label, _)| label.as_str()))?;
            Ok(())
        })
    }
}

/// Lines over two logarithmic axes.
pub struct LogLines<'a> {
    /// Title.
    pub title: &'a str,
    /// What the axes show, with their units.
    pub axes: [&'a str; 2],
    /// Name of each series and its points; all values are above 0.
    pub series: Vec<(String, Vec<(f64, f64)>)>,
    /// Points that are marked.
    pub marks: Vec<(f64, f64)>,
}

impl LogLines<'_> {
    /// The plot as an SVG element.
    pub fn to_svg(&self) -> Result<String> {
        let points = || self.series.iter().flat_map(|(_, points)| points);
        let range = |value: fn(&(f64, f64)) -> f64| {
            let least = points().map(value).fold(f64::INFINITY, f64::min).max(1e-9);
            let most = points().map(value).fold(least, f64::max);
            least * 0.8..most * 1.25
        };
        if points().next().is_none() {
            return Err(anyhow!("there are no points to plot"));
        }
        draw(|area| {
            let (plot, legend) = area.split_vertically(SIZE.1 as i32 - LEGEND_HEIGHT);
            let mut chart = ChartBuilder::on(&plot)
                .caption(self.title, (FONT, 16))
                .margin(8)
                .x_label_area_size(36)
                .y_label_area_size(64)
                .build_cartesian_2d(range(|p| p.0).log_scale(), range(|p| p.1).log_scale())?;
            let number = |value: &f64| format!("{value}");
            chart
                .configure_mesh()
                .x_desc(self.axes[0])
                .y_desc(self.axes[1])
                .x_label_formatter(&number)
                .y_label_formatter(&number)
                .draw()?;
            for (index, (_, points)) in self.series.iter().enumerate() {
                let colour = COLOURS[index % COLOURS.len()];
                let line = PathElement::new(points.clone(), colour.stroke_width(2));
                chart.draw_series([line])?;
            }
            let marks = self.marks.iter();
            chart.draw_series(marks.map(|&mark| Circle::new(mark, 5, BLACK.stroke_width(2))))?;
            draw_legend(&legend, self.series.iter().map(|(label, _)| label.as_str()))?;
            Ok(())
        })
    }
}

/// Plots one below the other, as one.
pub fn stacked(plots: &[String]) -> String {
    let (width, height) = SIZE;
    let all = height as usize * plots.len();
    let mut svg = format!(
        "<svg width=\"{width}\" height=\"{all}\" viewBox=\"0 0 {width} {all}\" xmlns=\"http://www.w3.org/2000/svg\">\n"
    );
    for (place, plot) in plots.iter().enumerate() {
        let y = place * height as usize;
        svg.push_str(&plot.replacen("<svg ", &format!("<svg y=\"{y}\" "), 1));
        svg.push('\n');
    }
    svg + "</svg>\n"
}

/// The colour and name of each series, in rows of three.
fn draw_legend<'a>(
    area: &Area<'_>,
    labels: impl Iterator<Item = &'a str>,
) -> Result<(), Box<dyn std::error::Error>> {
    for (index, label) in labels.enumerate() {
        let (x, y) = (48 + 235 * (index as i32 % 3), 4 + 20 * (index as i32 / 3));
        let colour = COLOURS[index % COLOURS.len()];
        area.draw(&Rectangle::new([(x, y), (x + 10, y + 10)], colour.filled()))?;
        area.draw_text(label, &TextStyle::from((FONT, 13)), (x + 15, y))?;
    }
    Ok(())
}

/// How often each value occurs. `values` are in ascending order.
pub fn histogram(title: &str, axis: &str, values: &[u64]) -> Result<String> {
    let mut counts: Vec<(u64, u64)> = Vec::new();
    for &value in values {
        match counts.last_mut() {
            Some((last, count)) if *last == value => *count += 1,
            _ => counts.push((value, 1)),
        }
    }
    let (least, most) = match (values.first(), values.last()) {
        (Some(&least), Some(&most)) => (least, most),
        _ => (0, 0),
    };
    let highest = counts.iter().map(|&(_, count)| count).max().unwrap_or(1);
    draw(|area| {
        let mut chart = ChartBuilder::on(area)
            .caption(title, (FONT, 16))
            .margin(8)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d(
                least.saturating_sub(2) as f64..(most + 3) as f64,
                0.0..1.05 * highest as f64,
            )?;
        let whole = |value: &f64| format!("{value:.0}");
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_desc(axis)
            .y_desc("events")
            .x_label_formatter(&whole)
            .y_label_formatter(&whole)
            .draw()?;
        chart.draw_series(counts.iter().map(|&(value, count)| {
            let value = value as f64;
            Rectangle::new([(value, 0.0), (value + 0.9, count as f64)], COLOURS[0].filled())
        }))?;
        Ok(())
    })
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw(body: impl FnOnce(&Area<'_>) -> Result<(), Box<dyn std::error::Error>>) -> Result<String> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let drawn = body(&area);
    drawn
        .and_then(|()| Ok(area.present()?))
        .map_err(|error| anyhow!("cannot draw a plot: {error}"))?;
    drop(area);
    Ok(svg)
}

//! Plots as SVG, for the report.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

const SIZE: (u32, u32) = (760, 300);
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
            let groups = self.groups.len() as f64;
            let mut chart = ChartBuilder::on(area)
                .caption(self.title, ("sans-serif", 16))
                .margin(8)
                .x_label_area_size(28)
                .y_label_area_size(40)
                .build_cartesian_2d(0.0..groups, 0.0..100.0)?;
            let name = |x: &f64| self.groups.get(*x as usize).unwrap_or(&"").to_string();
            chart
                .configure_mesh()
                .disable_x_mesh()
                .x_labels(2 * self.groups.len())
                .x_label_formatter(&|x| if x.fract() == 0.5 { name(x) } else { String::new() })
                .y_desc("%")
                .draw()?;
            let width = 0.8 / self.series.len().max(1) as f64;
            for (index, (label, values)) in self.series.iter().enumerate() {
                let colour = COLOURS[index % COLOURS.len()];
                let bars = values.iter().enumerate().map(|(group, &value)| {
                    let left = group as f64 + 0.1 + width * index as f64;
                    Rectangle::new([(left, 0.0), (left + 0.9 * width, value)], colour.filled())
                });
                chart.draw_series(bars)?.label(label).legend(move |(x, y)| {
                    Rectangle::new([(x, y - 5), (x + 10, y + 5)], colour.filled())
                });
            }
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperRight)
                .background_style(WHITE.mix(0.85))
                .draw()?;
            Ok(())
        })
    }
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
            .caption(title, ("sans-serif", 16))
            .margin(8)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d(
                least.saturating_sub(2) as f64..(most + 3) as f64,
                0.0..1.05 * highest as f64,
            )?;
        chart.configure_mesh().disable_x_mesh().x_desc(axis).y_desc("events").draw()?;
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

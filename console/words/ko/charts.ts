/** The texts of charts, and of a flag's metrics over time. */
import type { charts as english } from '../en/charts.ts';
import { number } from './counts.ts';

export const charts: typeof english = {
  charts: {
    time: '시각',
    numbers: '수치를 표로 보기',
    nothing: '이 기간에 측정된 값이 없습니다.',
    drawn: (title) => `차트: ${title}. 수치는 아래 표에 있습니다.`,
    notDrawn: '차트를 그릴 수 없습니다. 모든 수치는 표에서 볼 수 있습니다.',
    moreInTable: '나머지 항목은 표에만 표시됩니다.',
  },
  metrics: {
    title: '지표 추이',
    period: '기간',
    periods: { day: '1일(시간별)', week: '1주(시간별)', month: '30일(일별)', quarter: '90일(일별)' },
    evaluations: '변형별 평가 횟수',
    activeVehicles: '변형별 활성 차량',
    metric: '측정 지표',
    meanOf: (metric) => `${metric}: 변형별 평균`,
    none: '최근 30일 동안 이 기능 플래그에 대해 차량이 측정한 값이 없습니다.',
    totals: (evaluations, vehicles) => `총 평가 ${evaluations}회, 최근 30일 활성 차량 ${vehicles}대.`,
    lastAt: '마지막 평가',
  },
  numberOfVehicles: (count) => `차량 ${number.format(count)}대`,
};
